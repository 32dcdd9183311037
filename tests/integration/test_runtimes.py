"""Functions that name a version of their language, on a machine that has it, another one, or several: real interpreters, in the sandbox."""
import base64
import concurrent.futures
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from harness import EXIT, HEARTH, PATIENCE, ROOT, Daemon, DaemonTest, user_mode_problem, wait_until

sys.path.insert(0, str(ROOT / "tests/tools"))
import old_node  # noqa: E402

PYTHON = "import sys\ndef handler(event, context):\n    return '%d.%d' % sys.version_info[:2]\n"
NODE = """
const fs = require('fs');
exports.handler = async (event, context) => {
  console.log('seen', event.n);
  if (event.fail) throw new TypeError('no');
  return { version: process.versions.node, id: context.awsRequestId, tmp: fs.readdirSync('/tmp'), text: 'x'.repeat(event.size || 0) };
};
exports.callback = (event, context, callback) => setTimeout(() => callback(null, process.versions.node), 20);
"""


def version_of(program):
    text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, env={}).stdout
    return text.strip().split()[-1].lstrip("v")


def python_label():
    return "python" + ".".join(version_of("/usr/bin/python3").split(".")[:2])


def manifest(runtime, handler="app.handler", **more):
    return json.dumps({"runtime": runtime, "handler": handler, **more})


class Never(DaemonTest):
    """The default of `hearth serve`: a version that is not there is refused."""

    def test_the_machines_own_version_is_met_by_name(self):
        self.daemon.deploy("own", {"app.py": PYTHON}, manifest(python_label()))
        self.assertEqual("python" + self.daemon.invoke("own").json(), python_label())
        listed = json.loads(self.daemon.cli("list", "--json", check=0).stdout)[0]
        self.assertEqual((listed["Runtime"], listed["Hearth"]["Substituted"]), (python_label(), False))

    def test_another_version_is_refused_with_what_there_is_and_the_key(self):
        folder = self.daemon.folder("future", {"app.py": PYTHON}, manifest("python3.99"))
        done = self.daemon.cli("deploy", folder)
        self.assertEqual(done.returncode, EXIT["refused"])
        for part in ("python3.99", version_of("/usr/bin/python3"), python_label(), "runtimes.substitute"):
            self.assertIn(part, done.stderr)
        self.assertEqual(self.daemon.invoke("future").status, 404)

    def test_a_name_that_is_none_is_refused_before_anything_is_sent(self):
        for name, part in (("pyton3", "python3"), ("ruby3.3", "are known"), ("provided.al2024", "provided.al2023")):
            with self.subTest(name):
                done = self.daemon.cli("deploy", self.daemon.folder("wrong", {"app.py": PYTHON}, manifest(name)))
                self.assertEqual(done.returncode, EXIT["usage"])
                self.assertIn(part, done.stderr)


class Nearest(DaemonTest):
    config = {"runtimes": {"substitute": "nearest"}}

    def test_the_nearest_runs_it_and_deploy_list_and_log_say_so(self):
        done = self.daemon.cli("deploy", self.daemon.folder("future", {"app.py": PYTHON}, manifest("python3.99")), check=0)
        version = version_of("/usr/bin/python3")
        self.assertIn(f"python3.99 is not there; version {version} runs it", done.stdout)
        self.assertEqual("python" + self.daemon.invoke("future").json(), python_label())
        self.assertIn(f"python3.99 (on {version})", self.daemon.cli("list", check=0).stdout)
        self.assertIn("'future' asks for python3.99", self.daemon.log())
        again = json.loads(self.daemon.cli("deploy", "--json", self.daemon.folder("future", {"app.py": PYTHON}, manifest("python3.99")),
                                           check=0).stdout)[0]
        self.assertEqual(again["action"], "unchanged")
        self.assertIn("python3.99", again["substituted"])

    def test_a_restart_without_substitution_keeps_the_function_and_says_why_it_can_not_run(self):
        work = pathlib.Path(tempfile.mkdtemp(prefix="hearth-test-"))
        self.addCleanup(shutil.rmtree, work)
        first = Daemon(config=self.config, work=work)
        first.start()
        first.deploy("future", {"app.py": PYTHON}, manifest("python3.99"))
        first.end()
        second = Daemon(work=work)
        second.start()
        try:
            self.assertIn("'future' can't be called: python3.99 is not installed", second.log())
            self.assertEqual(second.invoke("future").status, 404)
            self.assertIn("python3.99 (not there)", second.cli("list", check=0).stdout)
            state = second.request("GET", "/2015-03-31/functions/future/configuration").json()
            self.assertEqual(state["State"], "Failed")
            self.assertIn("runtimes.substitute", state["StateReason"])
        finally:
            second.end()


class Developer(unittest.TestCase):
    """`hearth dev` and `hearth invoke --local` take the nearest, and say so."""

    def test_a_local_call_runs_on_the_nearest_version(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="hearth-test-"))
        self.addCleanup(shutil.rmtree, folder)
        (folder / "app.py").write_text(PYTHON)
        (folder / "function.yaml").write_text(manifest("python3.99"))
        done = subprocess.run([HEARTH, "invoke", "--local", folder], capture_output=True, text=True, timeout=60 * PATIENCE, check=False)
        self.assertEqual(("python" + json.loads(done.stdout), done.returncode), (python_label(), 0), done.stderr)
        self.assertIn("asks for python3.99", done.stderr)


class SeveralNodes(DaemonTest):
    """The oldest Node beside the machine's own, as root: strict."""
    user = False

    @classmethod
    def setUpClass(cls):
        try:
            program = old_node.path()
        except old_node.Unavailable as reason:
            raise unittest.SkipTest(str(reason))
        # A sandbox has a /tmp of its own, and the repository may lie in a home folder.
        cls.prefix = pathlib.Path(tempfile.mkdtemp(prefix="hearth-test-node-", dir="/var/tmp"))
        cls.addClassCleanup(shutil.rmtree, cls.prefix)
        cls.prefix.chmod(0o755)
        (cls.prefix / "bin").mkdir()
        shutil.copy(program, cls.prefix / "bin/node")
        cls.config = {"runtimes": {"nodejs": {"others": [str(cls.prefix / "bin/node")]}}}
        super().setUpClass()

    def deploy(self, name, runtime, handler="index.handler", files=None, **more):
        self.daemon.deploy(name, files or {"index.cjs": NODE}, manifest(runtime, handler, **more))

    def test_each_function_runs_on_the_version_that_it_names(self):
        self.deploy("old", "nodejs10.x")
        self.deploy("new", "nodejs")
        for _ in range(3):
            self.assertEqual(self.daemon.invoke("old").json()["version"], old_node.VERSION)
            self.assertEqual(self.daemon.invoke("new").json()["version"], version_of("/usr/bin/node"))

    def test_another_name_is_another_revision_on_another_interpreter(self):
        self.deploy("moves", "nodejs10.x")
        self.assertEqual(self.daemon.invoke("moves").json()["version"], old_node.VERSION)
        self.deploy("moves", "nodejs")
        self.assertEqual(self.daemon.invoke("moves").json()["version"], version_of("/usr/bin/node"))

    def test_the_oldest_node_does_what_a_function_needs(self):
        self.deploy("works", "nodejs10.x", timeout="10s")
        reply = self.daemon.invoke("works", {"n": 7, "size": 300_000}, headers={"X-Amz-Log-Type": "Tail"})
        self.assertEqual((reply.status, len(reply.json()["text"]), reply.json()["tmp"]), (200, 300_000, []))
        failed = self.daemon.invoke("works", {"fail": True})
        self.assertEqual((failed.headers["x-amz-function-error"], failed.json()["errorType"], failed.json()["errorMessage"]),
                         ("Unhandled", "TypeError", "no"))
        self.deploy("callback", "nodejs10.x", "index.callback", concurrency={"per_worker": 4})
        self.assertEqual(self.daemon.invoke("callback").json(), old_node.VERSION)

    def test_an_es_module_for_a_node_without_them_is_told(self):
        self.deploy("module", "nodejs10.x", files={"index.mjs": "export const handler = () => 1;\n"})
        reply = self.daemon.invoke("module")
        self.assertEqual(reply.json()["errorType"], "Runtime.ImportModuleError")
        self.assertIn("12.17", reply.json()["errorMessage"])

    def test_the_pool_of_a_version_grows_with_its_demand(self):
        self.deploy("pooled", "nodejs10.x")
        self.daemon.invoke("pooled")
        def parked():
            return [line for line in self.daemon.request("GET", "/metrics").text.splitlines()
                    if line.startswith("hearth_pool_target{") and 'interpreter="1"' in line and not line.endswith(" 0")]
        wait_until(parked, "a parked worker of the second interpreter")

    def test_a_version_that_nobody_has_is_refused_with_both(self):
        done = self.daemon.cli("deploy", self.daemon.folder("none", {"index.cjs": NODE}, manifest("nodejs99.x", "index.handler")))
        self.assertEqual(done.returncode, EXIT["refused"])
        for part in (old_node.VERSION, version_of("/usr/bin/node"), "nodejs10.x"):
            self.assertIn(part, done.stderr)

    def test_doctor_shows_both(self):
        done = self.daemon.cli("doctor", "--config", self.daemon.config, server=False)
        self.assertIn(old_node.VERSION, done.stdout)
        self.assertIn("nodejs (by version)", done.stdout)


ASYNC = """
import asyncio, os, time
time.sleep(%s)
running = 0
me = None
async def handler(event, context):
    global running, me
    me = me or os.urandom(8).hex()  # workers may have the same process id, each in its own name space
    running += 1
    most = running
    await asyncio.sleep(0.3)
    running -= 1
    print('seen', event['n'])
    return [me, most, event['n']]
"""


class Coroutines(DaemonTest):
    """`async def` handlers in Python: up to per_worker calls in one worker, also in one that was forked from a zygote."""

    def calls(self, name, count):
        with concurrent.futures.ThreadPoolExecutor(count) as pool:
            replies = list(pool.map(lambda n: self.daemon.invoke(name, {"n": n}, headers={"X-Amz-Log-Type": "Tail"}), range(count)))
        for n, reply in enumerate(replies):
            self.assertEqual((reply.status, reply.json()[2]), (200, n), reply)
            self.assertIn(f"seen {n}\n", base64.b64decode(reply.headers["x-amz-log-result"]).decode())
        return [reply.json() for reply in replies]

    def test_as_many_run_at_once_as_the_function_says(self):
        self.daemon.python("many", ASYNC % 0, json.dumps({"concurrency": {"per_worker": 8, "workers_max": 1}}))
        self.calls("many", 8)
        began = time.monotonic()
        replies = self.calls("many", 16)
        self.assertLess(time.monotonic() - began, 3 * PATIENCE)
        self.assertEqual(len({who for who, _, _ in replies}), 1)
        self.assertGreater(max(most for _, most, _ in replies), 4)
        self.assertLessEqual(max(most for _, most, _ in replies), 8)

    def test_one_at_a_time_without_a_word(self):
        self.daemon.python("one", ASYNC % 0, json.dumps({"concurrency": {"workers_max": 1}}))
        self.assertEqual({most for _, most, _ in self.calls("one", 3)}, {1})

    def test_workers_that_are_forked_from_a_zygote(self):
        self.daemon.python("forked", ASYNC % 0.3, json.dumps({"concurrency": {"per_worker": 2, "workers_max": 4}}))
        before = self.daemon.metrics()["hearth_zygotes"]
        self.calls("forked", 2)
        wait_until(lambda: self.daemon.metrics()["hearth_zygotes"] > before, "a zygote", 20)
        replies = self.calls("forked", 8)
        self.assertGreater(len({who for who, _, _ in replies}), 1)
        self.assertGreater(self.daemon.metrics()["hearth_zygote_forks_total"], 0)
        self.assertEqual(max(most for _, most, _ in replies), 2)


@unittest.skipIf(user_mode_problem(), str(user_mode_problem()))
class SeveralNodesAsUser(SeveralNodes):
    user = True


if __name__ == "__main__":
    unittest.main()
