"""Handlers in Python, Node and C: shapes, context, module state, concurrency inside a worker."""
import concurrent.futures
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from harness import ROOT, DaemonTest

CONTEXT_PY = """
import logging, os
def handler(event, context):
    logging.getLogger().info("info line")
    return {"request_id": context.aws_request_id, "left": context.get_remaining_time_in_millis(), "name": context.function_name,
            "version": context.function_version, "memory": context.memory_limit_in_mb, "arn": context.invoked_function_arn,
            "env": {k: os.environ.get(k) for k in ("AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "LAMBDA_TASK_ROOT",
                                                    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "_HANDLER", "MINE")}}
"""
CONTEXT_JS = """
exports.handler = async (event, context) => ({
  request_id: context.awsRequestId, left: context.getRemainingTimeInMillis(), name: context.functionName,
  version: context.functionVersion, memory: context.memoryLimitInMB, arn: context.invokedFunctionArn,
  env: Object.fromEntries(['AWS_LAMBDA_FUNCTION_NAME', 'AWS_LAMBDA_FUNCTION_VERSION', 'LAMBDA_TASK_ROOT',
                           'AWS_LAMBDA_FUNCTION_MEMORY_SIZE', '_HANDLER', 'MINE'].map((k) => [k, process.env[k]])),
});
"""


class Handlers(DaemonTest):
    def test_context(self):
        for name, deploy, handler in (("ctx_py", lambda m: self.daemon.python("ctx_py", CONTEXT_PY, m), "app.handler"),
                                      ("ctx_js", lambda m: self.daemon.node("ctx_js", CONTEXT_JS, m), "index.handler")):
            with self.subTest(name=name):
                deploy("timeout: 5s\nmemory: 192MB\nenvironment: {MINE: yes please}\n")
                reply = self.daemon.invoke(name)
                got = reply.json()
                self.assertEqual(got["request_id"], reply.headers["x-amzn-requestid"])
                self.assertTrue(4000 < got["left"] <= 5000, got)
                self.assertEqual((got["name"], got["version"], int(got["memory"])), (name, "$LATEST", 192))
                self.assertTrue(got["arn"].endswith(":function:" + name), got)
                self.assertEqual(got["env"], {"AWS_LAMBDA_FUNCTION_NAME": name, "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
                                              "LAMBDA_TASK_ROOT": "/var/task", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "192",
                                              "_HANDLER": handler, "MINE": "yes please"})

    def test_node_styles(self):
        styles = {
            "js_async": ("index.cjs", "exports.handler = async (event) => event.n + 1;"),
            "js_promise": ("index.cjs", "exports.handler = (event) => new Promise((r) => setTimeout(() => r(event.n + 1), 5));"),
            "js_callback": ("index.cjs", "exports.handler = (event, context, callback) => { setTimeout(() => callback(null, event.n + 1), 5); };"),
            "js_esm": ("index.mjs", "export const handler = async (event) => event.n + 1;"),
            "js_esm_await": ("index.mjs", "import { setTimeout as sleep } from 'node:timers/promises'; await sleep(5);\n"
                                          "export async function handler(event) { return event.n + 1; }"),
            "js_esm_import": ("index.mjs", "import { one } from './lib/one.mjs';\nexport const handler = async (event) => event.n + one;"),
            "js_require": ("index.cjs", "const { one } = require('./lib/one.cjs');\nexports.handler = async (event) => event.n + one;"),
        }
        for name, (file, code) in styles.items():
            with self.subTest(name=name):
                self.daemon.deploy(name, {file: code, "lib/one.mjs": "export const one = 1;", "lib/one.cjs": "exports.one = 1;"})
                self.assertEqual([self.daemon.invoke(name, {"n": n}).json() for n in (1, 2)], [2, 3])

    def test_callback_errors(self):
        self.daemon.node("js_fail", "exports.handler = (event, context, callback) => callback(new RangeError('from the callback'));")
        self.assert_function_error(self.daemon.invoke("js_fail"), "RangeError", "from the callback")

    def test_python_modules_and_packages(self):
        self.daemon.deploy("py_parts", {"pkg/__init__.py": "", "pkg/inner.py": "import helper\ndef run(event, context):\n    return helper.V\n",
                                        "helper.py": "V = 'helped'\n"}, "handler: pkg.inner.run\nruntime: python3\n")
        self.assertEqual(self.daemon.invoke("py_parts").json(), "helped")

    def test_module_state_lives_on_in_a_warm_worker(self):
        self.daemon.python("warm", "import os\nn = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return [os.getpid(), n]\n",
                           "concurrency: {workers_max: 1}\n")
        self.assertEqual([self.daemon.invoke("warm").json()[1] for _ in range(5)], [1, 2, 3, 4, 5])

    def test_one_call_at_a_time_by_default(self):
        code = ("let now = 0, most = 0;\nexports.handler = async () => { most = Math.max(most, ++now);"
                " await new Promise((r) => setTimeout(r, 20)); now--; return most; };")
        self.daemon.node("alone", code, "concurrency: {workers_max: 1}\ntimeout: 20s\n")
        self.assertEqual(set(self.many("alone", 20)), {1})
        self.daemon.node("together", code, "concurrency: {per_worker: 8, workers_max: 1}\ntimeout: 20s\n")
        most = max(self.many("together", 40))
        self.assertTrue(1 < most <= 8, most)

    def many(self, name, count, event=None):
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            replies = list(pool.map(lambda _: self.daemon.invoke(name, event), range(count)))
        self.assertEqual({reply.status for reply in replies}, {200}, replies[:3])
        return [reply.json() for reply in replies]

    def test_background_work_does_not_answer_twice(self):
        self.daemon.node("twice", "exports.handler = (event, context, callback) => { callback(null, 1); callback(null, 2);"
                                  " setTimeout(() => callback(null, 3), 10); };")
        for _ in range(5):
            self.assertEqual(self.daemon.invoke("twice").json(), 1)
            time.sleep(0.02)

    def test_threads_in_python(self):
        self.daemon.python("threads", "import threading\ndef handler(event, context):\n    out = []\n"
                                      "    ts = [threading.Thread(target=out.append, args=(i,)) for i in range(8)]\n"
                                      "    [t.start() for t in ts]; [t.join() for t in ts]\n    return sorted(out)\n")
        self.assertEqual(self.daemon.invoke("threads").json(), list(range(8)))

    def test_numbers_and_text_survive(self):
        event = {"int": 2**53 - 1, "float": 0.1, "text": "\u2603 \U0001f600 \x00 \"", "empty": "", "list": [[], {}], "exp": 1e-300}
        self.daemon.python("echo_py", "def handler(event, context):\n    return event\n")
        self.daemon.node("echo_js", "exports.handler = async (event) => event;")
        for name in ("echo_py", "echo_js"):
            self.assertEqual(self.daemon.invoke(name, event).json(), event)


class Native(DaemonTest):
    @classmethod
    def deploy_functions(cls):
        header = ROOT / "runtimes/custom/hearth_worker.h"
        if not header.exists():
            raise unittest.SkipTest("runtimes/custom/hearth_worker.h is not there")
        subprocess.run(["make", "-s", "-C", ROOT / "examples/hello_c"], check=True)
        binary = (ROOT / "examples/hello_c/hello").read_bytes()
        cls.daemon.deploy("hello_c", {"hello": binary}, "runtime: native\nhandler: hello\n")

    def test_hello(self):
        for _ in range(3):
            self.assertEqual(self.daemon.invoke("hello_c", {"name": "world"}).json(), {"message": "Hello world"})

    def test_an_executable_that_speaks_no_protocol(self):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "mute.c"
            source.write_text("int main(void) { return 9; }")
            subprocess.run(["gcc", "-static", "-o", Path(folder) / "mute", source], check=True)
            self.daemon.deploy("mute", {"mute": (Path(folder) / "mute").read_bytes()}, "runtime: native\nhandler: mute\n")
        reply = self.daemon.invoke("mute", {}, timeout=60)
        self.assertTrue(reply.status >= 400 or "x-amz-function-error" in reply.headers, reply)
        self.assertEqual(self.daemon.invoke("hello_c", {"name": "x"}).json(), {"message": "Hello x"})

    def test_a_missing_or_unusable_executable(self):
        for name, files in (("gone", {"other": b"x"}), ("text", {"run": b"not an executable"})):
            done = self.daemon.cli("deploy", self.daemon.folder(name, files, "runtime: native\nhandler: run\n"))
            if done.returncode == 0:
                reply = self.daemon.invoke(name, {}, timeout=60)
                self.assertTrue(reply.status >= 400 or "x-amz-function-error" in reply.headers, reply)


if __name__ == "__main__":
    unittest.main()
