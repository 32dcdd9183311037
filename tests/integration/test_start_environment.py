"""Variables that count only when a process starts: real interpreters, in strict and user mode, and without a sandbox."""
import json
import subprocess
import unittest
from pathlib import Path

from harness import ROOT, DaemonTest, user_mode_problem

HASH = "import os\ndef handler(event, context):\n    return [hash('a'), os.getpid(), os.environ['PYTHONHASHSEED']]\n"
LIBRARY = "int answer(void) { return %d; }\n"
PRELOADED = "int getpagesize(void) { return 4321; }\n"
NATIVE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "hearth_worker.h"

static char at_start[64];

__attribute__((constructor)) static void look(void) {
  const char* value = getenv("GREETING");
  snprintf(at_start, sizeof at_start, "\"%s\"", value ? value : "none");
}

static void say(hearth_call* call, const char* event, size_t size, void* user) {
  (void)event, (void)size, (void)user;
  hearth_reply(call, at_start, strlen(at_start));
}

int main(void) { return hearth_worker_run(say, NULL); }
"""


def build(folder, name, text, *flags):
    source = Path(folder) / f"{name}.c"
    source.write_text(text)
    subprocess.run(["gcc", *flags, "-o", Path(folder) / name, source], check=True)
    return (Path(folder) / name).read_bytes()


def manifest(runtime, handler, **environment):
    return json.dumps({"runtime": runtime, "handler": handler, "environment": environment})


class StartEnvironment(DaemonTest):
    """As root: strict."""

    def deploy(self, name, files, **environment):
        runtime, handler = ("nodejs", "index.handler") if "index.cjs" in files else ("python3", "app.handler")
        return self.daemon.deploy(name, files, manifest(runtime, handler, **environment))

    def answer(self, name, event=None):
        reply = self.daemon.invoke(name, event)
        self.assertEqual(reply.status, 200, reply)
        return reply.json()

    def test_a_hash_seed_is_the_same_in_each_process(self):
        warning = "had to be started without the generic zygote"  # which is not for processes of this kind
        warned = self.daemon.log().count(warning)
        for name in ("first", "second"):
            self.deploy(name, {"app.py": HASH}, PYTHONHASHSEED="0")
        first, second = self.answer("first"), self.answer("second")
        self.assertEqual(self.daemon.log().count(warning), warned)
        self.assertEqual(first[0], second[0])
        self.assertEqual(first[2], "0")
        expected = subprocess.run(["/usr/bin/python3", "-c", "print(hash('a'))"], env={"PYTHONHASHSEED": "0"}, capture_output=True, text=True,
                                  check=True)
        self.assertEqual(first[0], int(expected.stdout))

    def test_python_heeds_its_other_variables(self):
        code = "import sys, helper\ndef handler(event, context):\n    return [sys.flags.optimize, helper.NAME, sys.path]\n"
        self.deploy("options", {"app.py": code, "lib/helper.py": "NAME = 'lib'\n"}, PYTHONPATH="/var/task/lib", PYTHONOPTIMIZE="1")
        optimize, helper, path = self.answer("options")
        self.assertEqual([optimize, helper], [1, "lib"])
        self.assertEqual(path.count("/var/task/lib"), 1)
        self.assertFalse([entry for entry in path if entry.startswith("/var/runtime")], path)

    def test_the_linker_finds_libraries_of_the_function(self):
        library = build(self.daemon.work, "libanswer.so", LIBRARY % 42, "-shared", "-fPIC")
        code = "import ctypes\ndef handler(event, context):\n    return ctypes.CDLL('libanswer.so').answer()\n"
        self.deploy("linked", {"app.py": code, "lib/libanswer.so": library}, LD_LIBRARY_PATH="/var/task/lib")
        self.assertEqual(self.answer("linked"), 42)
        # The control: set by INIT alone it comes too late for the linker.
        late = "import os\nos.environ['LD_LIBRARY_PATH'] = '/var/task/lib'\n" + code.replace("return", "return 'found',")
        self.deploy("late", {"app.py": late, "lib/libanswer.so": library})
        self.assertIn("x-amz-function-error", self.daemon.invoke("late").headers)

    def test_a_library_is_preloaded(self):
        library = build(self.daemon.work, "pages.so", PRELOADED, "-shared", "-fPIC")
        code = "import ctypes\ndef handler(event, context):\n    return ctypes.CDLL(None).getpagesize()\n"
        self.deploy("preloaded", {"app.py": code, "pages.so": library}, LD_PRELOAD="/var/task/pages.so")
        self.assertEqual(self.answer("preloaded"), 4321)

    def test_node_heeds_its_options(self):
        code = """const v8 = require('v8');
exports.handler = async () => [globalThis.early, process.env.NODE_OPTIONS, v8.getHeapStatistics().heap_size_limit];"""
        early = "globalThis.early = 'loaded';"
        options = "--require /var/task/early.cjs --max-old-space-size=64"
        self.deploy("node", {"index.cjs": code, "early.cjs": early}, NODE_OPTIONS=options)
        loaded, seen, limit = self.answer("node")
        self.assertEqual([loaded, seen], ["loaded", options])
        self.deploy("plain", {"index.cjs": code, "early.cjs": early}, NODE_OPTIONS="--require /var/task/early.cjs")
        loaded, _, standard = self.answer("plain")
        self.assertEqual(loaded, "loaded")
        self.assertLess(limit, standard)  # 64 MB are less than 3/4 of 128
        self.assertLess(standard, 128 << 20)

    def test_bad_options_are_an_init_error_with_the_interpreters_words(self):
        self.deploy("bad", {"index.cjs": "exports.handler = async () => 1;"}, NODE_OPTIONS="--no-such-option")
        reply = self.daemon.invoke("bad")
        self.assertNotEqual(reply.headers.get("x-amz-function-error"), None, reply)
        self.assertIn("exit status 9", reply.text)
        self.assertIn("--no-such-option is not allowed in NODE_OPTIONS", reply.text)
        # Nobody else's workers are held responsible.
        self.deploy("good", {"index.cjs": "exports.handler = async () => 1;"})
        self.assertEqual(self.answer("good"), 1)
        self.deploy("badpy", {"app.py": HASH}, PYTHONHASHSEED="many")
        self.assertIn("PYTHONHASHSEED must be", self.daemon.invoke("badpy").text)

    def test_a_native_function_has_its_environment_at_its_start(self):
        binary = build(self.daemon.work, "greet", NATIVE, "-static", "-I", str(ROOT / "runtimes/custom"))
        self.daemon.deploy("greet", {"greet": binary}, manifest("native", "greet", GREETING="hello"))
        self.assertEqual(self.answer("greet"), "hello")

    def test_a_new_value_is_a_new_process(self):
        for seed in ("1", "2"):
            self.deploy("again", {"app.py": HASH}, PYTHONHASHSEED=seed)
            self.assertEqual(self.answer("again")[2], seed)

    def test_a_deploy_says_so(self):
        why = "its environment has PYTHONHASHSEED, which counts only when a process starts"
        done = self.deploy("told", {"app.py": HASH}, PYTHONHASHSEED="0")
        self.assertIn(f"no parked worker fits it, since {why}", done.stdout)
        folder = self.daemon.folder("told", {"app.py": HASH + "#\n"}, manifest("python3", "app.handler", PYTHONHASHSEED="0"))
        self.assertEqual(json.loads(self.daemon.cli("deploy", "--json", folder, check=0).stdout)[0]["fresh_start"], why)
        self.assertEqual(self.daemon.request("GET", "/hearth/v1/functions/told").json()["fresh_start"], why)
        answer = self.daemon.request("GET", "/2015-03-31/functions/told/configuration").json()
        self.assertEqual(answer["Hearth"]["FreshStart"], why)
        folder = self.daemon.folder("quiet", {"app.py": "def handler(e, c):\n    return 1\n"}, manifest("python3", "app.handler", A="1"))
        self.assertIsNone(json.loads(self.daemon.cli("deploy", "--json", folder, check=0).stdout)[0]["fresh_start"])


@unittest.skipIf(user_mode_problem(), user_mode_problem())
class StartEnvironmentAsUser(StartEnvironment):
    """As an ordinary user."""

    user = True


class WithoutSandbox(DaemonTest):
    shared = False

    def test_a_hash_seed(self):
        daemon = self.own_daemon(sandbox="off", arguments=("--i-know-this-is-unsafe",))
        daemon.deploy("seed", {"app.py": HASH}, manifest("python3", "app.handler", PYTHONHASHSEED="0"))
        expected = subprocess.run(["/usr/bin/python3", "-c", "print(hash('a'))"], env={"PYTHONHASHSEED": "0"}, capture_output=True, text=True,
                                  check=True)
        self.assertEqual(daemon.invoke("seed").json()[0], int(expected.stdout))


if __name__ == "__main__":
    unittest.main()
