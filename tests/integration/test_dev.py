"""`hearth dev` through a pseudo-terminal, as a developer has it, and `hearth invoke --local`.

Saves are made as editors make them. Nothing may be left at the end: processes, mounts, temporary folders.
"""
import http.client
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from harness import (EXIT, HEARTH, INVOKE, PATIENCE, Reply, become_subreaper, descendants, scaled, still_alive,
                     wait_until)

PY = "def handler(event, context):\n    return {{'statusCode': 200, 'body': '{}'}}\n"
NODE = "export const handler = async () => ({{statusCode: 200, body: '{}'}});\n"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def save(path, text):
    """As editors save: another file, renamed over the old one."""
    fresh = path.with_name(f".{path.name}.swp")
    fresh.write_text(text)
    fresh.rename(path)


class Work(unittest.TestCase):
    """A folder for the functions and one for $TMPDIR, which must be empty at the end."""

    def setUp(self):
        become_subreaper()
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="hearth-test-"))
        self.work.chmod(0o755)
        self.tmp = self.work / "tmp"
        self.tmp.mkdir()
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)

    def environment(self):
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.work), "TMPDIR": str(self.tmp), "LANG": "C.UTF-8", "TERM": "xterm",
                **{key: value for key, value in os.environ.items() if key.endswith("SAN_OPTIONS")}}

    def write(self, name, text):
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def assert_nothing_left(self, processes=()):
        wait_until(lambda: not still_alive(dict(processes)), "every process has ended", 5)
        self.assertEqual(list(self.tmp.iterdir()), [])
        self.assertNotIn(str(self.tmp), pathlib.Path("/proc/self/mounts").read_text())


class Dev:
    """One `hearth dev` whose terminal is ours."""

    def __init__(self, test, folder, *arguments, environment=None, terminal=True):
        self.text = b""
        self.port = free_port()
        command = [str(HEARTH), "dev", str(folder), "--port", str(self.port), *arguments]
        master, slave = pty.openpty() if terminal else os.pipe()
        self.master = master

        def own_terminal():
            os.setsid()
            if terminal:
                import fcntl
                import termios
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(command, stdin=slave if terminal else subprocess.DEVNULL, stdout=slave, stderr=slave, cwd="/",
                                        env={**test.environment(), **(environment or {})}, preexec_fn=own_terminal)
        os.close(slave)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        test.addCleanup(self.end)

    def _read(self):
        while True:
            try:
                part = os.read(self.master, 65536)
            except OSError:
                return
            if not part:
                return
            self.text += part

    @property
    def shown(self):
        return re.sub(r"\x1b\[[0-9]*m", "", self.text.decode("utf-8", "replace")).replace("\r\n", "\n")

    def wait(self, text, timeout=15.0, start=0):
        wait_until(lambda: text in self.shown[start:] or self.process.poll() is not None, f"'{text}' in:\n{self.shown}", timeout)
        if text not in self.shown[start:]:
            raise AssertionError(f"no '{text}' in:\n{self.shown}")
        return self

    def ready(self):
        return self.wait("Ctrl-C ends")

    def get(self, path="/", host=None, method="GET", body=None, timeout=20.0):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * PATIENCE)
        try:
            connection.request(method, path, body=body, headers={"Host": host} if host else {})
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def serves(self, text, path="/"):
        return wait_until(lambda: self.get(path).text == text, f"'{text}' at {path}; shown:\n{self.shown}")

    def key(self, byte):
        os.write(self.master, byte)

    def end(self):
        processes = descendants(self.process.pid) if self.process.poll() is None else {}
        if processes:
            self.process.kill()
        self.process.wait()
        wait_until(lambda: not still_alive(processes), "the workers end with their engine")
        self.reader.join(5)
        if self.master is not None:
            os.close(self.master)
        self.master = None


class Loop(Work):
    def test_a_function_is_served_at_every_address_and_each_call_is_a_line(self):
        self.write("hello/app.py", "def handler(event, context):\n    print('it ran')\n    return event.get('rawPath', 'invoked')\n")
        dev = Dev(self, self.work / "hello").ready()
        self.assertEqual(dev.get("/some/path").text, "/some/path")
        self.assertEqual(dev.get("/fn/hello/x").text, "/x")
        self.assertEqual(dev.get("/y", host=f"hello.localhost:{dev.port}").text, "/y")
        self.assertEqual(dev.get(INVOKE.format("hello"), method="POST", body="{}").json(), "invoked")
        dev.wait("hello | it ran").wait("hello GET /some/path  200 ").wait(f"hello POST {INVOKE.format('hello')}  200 ")
        self.assertRegex(dev.shown, r"GET /some/path  200  \d+\.\d ms  cold \(init \d+\.\d ms\)  \d+ MB")
        self.assertRegex(dev.shown, r"GET /fn/hello/x  200  \d+\.\d ms  warm  \d+ MB")
        self.assertIn(b"\x1b[", dev.text, "a terminal has colour")

    def test_new_code_is_live_after_a_save_and_no_call_fails_meanwhile(self):
        for name, file, code in (("py", "app.py", PY), ("js", "index.mjs", NODE)):
            path = self.write(f"{name}/{file}", code.format(0))
            dev = Dev(self, self.work / name).ready()
            stop, failures, seen = threading.Event(), [], set()

            def call(dev=dev, stop=stop, failures=failures, seen=seen):
                while not stop.is_set():
                    try:
                        reply = dev.get()
                        (seen.add(reply.text) if reply.status == 200 else failures.append(reply))
                    except OSError as error:
                        failures.append(error)

            callers = [threading.Thread(target=call) for _ in range(4)]
            for caller in callers:
                caller.start()
            for edit in range(1, scaled(40, 5) + 1):
                save(path, code.format(edit))
                dev.serves(str(edit))
            stop.set()
            for caller in callers:
                caller.join()
            self.assertEqual(failures, [])
            self.assertIn("new code is live", dev.shown)
            dev.end()

    def test_a_version_that_is_not_there_is_told_once_and_the_nearest_runs_it(self):
        path = self.write("py/app.py", PY.format("one"))
        self.write("py/function.yaml", "runtime: python3.99\n")
        dev = Dev(self, path.parent).ready()
        dev.serves("one")
        save(path, PY.format("two"))
        dev.serves("two")
        self.assertEqual(dev.shown.count("'py' asks for python3.99"), 1, dev.shown)

    def test_a_function_may_stream(self):
        self.write("py/app.py", "def handler(event, context):\n    yield 'one '\n    yield 'two'\n")
        dev = Dev(self, self.work / "py").ready()
        self.assertEqual(dev.get("/x").text, "one two")
        dev.wait("py GET /x  200 ")

    def test_code_that_does_not_load_is_shown_at_once_while_the_old_code_serves(self):
        cases = (("py/app.py", PY, "def handler(event, context)\n    return 1\n", "SyntaxError", "line 1"),
                 ("py/app.py", PY, "import nothing_like_it\n", "nothing_like_it", "line 1"),
                 ("js/index.mjs", NODE, "export const handler = async () => {\n", "SyntaxError", "index.mjs:"),
                 ("js/index.mjs", NODE, "import './nothing.mjs';\n", "nothing.mjs", "index.mjs"))
        for file, code, broken, error, place in cases:
            with self.subTest(broken=broken):
                path = self.write(file, code.format("old"))
                dev = Dev(self, path.parent).ready()
                dev.serves("old")
                save(path, broken)
                dev.wait("the code before goes on")
                self.assertIn(error, dev.shown)
                self.assertIn(place, dev.shown)
                self.assertIn(str(path), dev.shown, "the developer's own path, not the sandbox's")
                for _ in range(3):
                    self.assertEqual(dev.get().text, "old")
                save(path, code.format("fixed"))
                dev.serves("fixed")
                dev.end()

    def test_code_that_never_loaded_answers_with_its_error_until_it_is_mended(self):
        path = self.write("hello/app.py", "raise ValueError('no')\n")
        dev = Dev(self, self.work / "hello").ready()
        self.assertIn("ValueError", dev.shown)
        self.assertEqual(dev.get().status, 502)
        save(path, PY.format("fixed"))
        dev.serves("fixed")

    def test_code_that_hangs_while_it_loads_is_replaced_by_the_next_save(self):
        path = self.write("hello/app.py", PY.format("old"))
        dev = Dev(self, self.work / "hello").ready()
        save(path, "while True:\n    pass\n")
        time.sleep(0.3)
        self.assertEqual(dev.get().text, "old")
        save(path, PY.format("new"))
        dev.serves("new")

    def test_code_that_hangs_from_the_first_can_be_mended(self):
        path = self.write("hello/app.py", "while True:\n    pass\n")
        dev = Dev(self, self.work / "hello").ready()
        save(path, PY.format("new"))
        dev.serves("new")

    def test_ready_means_that_calls_reach_the_function_however_long_it_loads(self):
        """After a while `ready` is printed though the code still loads: calls wait for it then."""
        slow = "import time\ntime.sleep(3)\n" + PY.format("slow")
        self.write("one/slow/app.py", slow)
        for folder in ("one", "many"):
            for number in range(8 if folder == "many" else 0):  # in a larger tree idle functions keep no worker
                self.write(f"many/f{number}/app.py", PY.format(number))
            self.write(f"{folder}/slow/app.py", slow)
            with self.subTest(folder):
                dev = Dev(self, self.work / folder).ready()
                self.assertNotIn("slow loaded", dev.shown, "it is not to be waited for")
                reply = dev.get("/fn/slow/")
                self.assertEqual((reply.status, reply.text), (200, "slow"))
                if folder == "many":
                    self.assertEqual(dev.get("/fn/f7/").text, "7")
                dev.end()

    def test_a_crash_and_a_hang_take_nothing_down(self):
        self.write("hello/function.yaml", "timeout: 500ms\n")
        self.write("hello/app.py", "import os\ndef handler(event, context):\n    if event['rawPath'] == '/crash': os._exit(3)\n"
                                   "    while event['rawPath'] == '/hang': pass\n    return 'alive'\n")
        dev = Dev(self, self.work / "hello").ready()
        for path, status in (("/crash", 502), ("/hang", 504)):
            self.assertEqual(dev.get(path).status, status)
            dev.wait(f"GET {path}  {status} ")
            self.assertEqual(dev.get("/").text, "alive")

    def test_a_tree_has_its_functions_new_ones_come_and_old_ones_go(self):
        self.write("all/a/app.py", PY.format("a"))
        self.write("all/group/b/index.mjs", NODE.format("b"))
        dev = Dev(self, self.work / "all").ready()
        self.assertEqual((dev.get("/fn/a/").text, dev.get("/fn/b/").text), ("a", "b"))
        self.assertEqual(dev.get("/").status, 404, "two functions: neither is at the root")
        self.write("all/c/app.py", PY.format("c"))
        dev.serves("c", "/fn/c/")
        shutil.rmtree(self.work / "all/a")
        dev.wait("a removed")
        wait_until(lambda: dev.get("/fn/a/").status == 404, "a has gone")
        save(self.work / "all/group/b/index.mjs", NODE.format("b2"))
        dev.serves("b2", "/fn/b/")

    def test_dotenv_adds_environment_and_is_watched(self):
        self.write("hello/app.py", "import os\ndef handler(event, context):\n    return os.environ.get('A', '') + os.environ.get('B', '')\n")
        env = self.write("hello/.env", "# mine\nexport A='1'\nB=1 # one\n")
        other = self.write("dev.env", "B=2\n")
        dev = Dev(self, self.work / "hello", "--env", str(other)).ready()
        self.assertEqual(dev.get().text, "12")
        save(other, "B=3\n")
        dev.serves("13")
        save(env, "A=1\nwrong\n")
        dev.wait(f"{env}:2: ")
        self.assertEqual(dev.get().text, "13")

    def test_json_is_one_object_a_line(self):
        path = self.write("hello/app.py", "def handler(event, context):\n    print('a')\n    return 'b'\n")
        dev = Dev(self, self.work / "hello", "--json", terminal=False).wait('"ready"')
        dev.get("/x")
        dev.wait('"call"')
        save(path, "def")
        dev.wait('"load_failed"')
        dev.process.send_signal(signal.SIGTERM)
        dev.process.wait(10 * PATIENCE)
        dev.wait('"stopping"')
        events = [json.loads(line) for line in dev.shown.splitlines()]
        call = next(event for event in events if event["event"] == "call")
        self.assertEqual((call["function"], call["method"], call["path"], call["status"], call["error"]), ("hello", "GET", "/x", 200, None))
        self.assertGreater(call["memory_mb"], 1)
        log = next(event for event in events if event["event"] == "log" and event["text"] == "a")
        self.assertEqual(log["request_id"], call["request_id"])
        failed = next(event for event in events if event["event"] == "load_failed")
        self.assertTrue(failed["serving_old"])

    def test_no_color_is_respected(self):
        self.write("hello/app.py", PY.format("x"))
        dev = Dev(self, self.work / "hello", environment={"NO_COLOR": "1"}).ready()
        dev.get()
        self.assertNotIn(b"\x1b[", dev.text)


class End(Work):
    def started(self):
        self.write("hello/app.py", "import time\ndef handler(event, context):\n    time.sleep(event.get('s', 0))\n    return 'x'\n")
        self.write("hello/function.yaml", "timeout: 60s\n")
        dev = Dev(self, self.work / "hello").ready()
        processes = {dev.process.pid: None, **descendants(dev.process.pid)}
        processes.pop(dev.process.pid)
        self.assertGreater(len(processes), 2)
        self.assertEqual(len(list(self.tmp.iterdir())), 1)
        return dev, processes

    def end_by(self, act, calls=0):
        dev, processes = self.started()
        for _ in range(calls):
            threading.Thread(target=lambda: self.ignore(dev), daemon=True).start()
        time.sleep(0.2 if calls else 0)
        start = time.monotonic()
        act(dev)
        self.assertEqual(dev.process.wait(10 * PATIENCE), 0, dev.shown)
        self.assertLess(time.monotonic() - start, 1.0 * PATIENCE)
        self.assert_nothing_left(processes)

    @staticmethod
    def ignore(dev):
        try:
            dev.get(INVOKE.format("hello"), method="POST", body='{"s": 30}')
        except OSError:
            pass

    def test_ctrl_c_ends_everything(self):
        self.end_by(lambda dev: dev.key(b"\x03"))

    def test_ctrl_c_ends_calls_that_run(self):
        self.end_by(lambda dev: dev.key(b"\x03"), calls=3)

    def test_sigterm_and_a_closed_terminal_end_everything(self):
        self.end_by(lambda dev: dev.process.send_signal(signal.SIGTERM))
        self.end_by(lambda dev: dev.process.send_signal(signal.SIGHUP))

    def test_a_second_ctrl_c_ends_at_once_what_the_first_could_not(self):
        """Nobody reads what is printed: the loop stands in a write."""
        self.write("hello/app.py", "def handler(event, context):\n    print('x' * 8000)\n    return 'x'\n")
        port = free_port()
        process = subprocess.Popen([str(HEARTH), "dev", str(self.work / "hello"), "--port", str(port)], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, env=self.environment(), cwd="/")
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        while b"Ctrl-C ends" not in process.stdout.readline():
            pass
        calls = [threading.Thread(target=self.call_in_vain, args=(port,), daemon=True) for _ in range(4)]
        for call in calls:
            call.start()
        wait_until(lambda: "pipe_write" in pathlib.Path(f"/proc/{process.pid}/wchan").read_text()
                   or pathlib.Path(f"/proc/{process.pid}/syscall").read_text().startswith("1 "), "the loop stands in its write")
        processes = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        wait_until(lambda: self.handled(process.pid, signal.SIGINT) is False, "the first has been taken")
        self.assertIsNone(process.poll())
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(10 * PATIENCE), -signal.SIGINT)
        self.assertLess(time.monotonic() - start, 1.0 * PATIENCE)
        wait_until(lambda: not still_alive(processes), "the workers end with their engine", 5)

    @staticmethod
    def handled(pid, number):
        """Does the process handle this signal itself?"""
        caught = re.search(r"^SigCgt:\s*(\w+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        return bool(int(caught.group(1), 16) >> (number - 1) & 1)

    @staticmethod
    def call_in_vain(port):
        for _ in range(20):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20 * PATIENCE)
                connection.request("GET", "/")
                connection.getresponse().read()
                connection.close()
            except (OSError, http.client.HTTPException):
                return

    def test_what_a_killed_run_left_is_swept_by_the_next(self):
        dev, processes = self.started()
        dev.process.kill()
        dev.process.wait()
        wait_until(lambda: not still_alive(processes), "the workers end with their engine", 5)
        self.assertEqual(len(list(self.tmp.iterdir())), 1)
        dev, processes = self.started()
        dev.key(b"\x03")
        self.assertEqual(dev.process.wait(10 * PATIENCE), 0)
        self.assert_nothing_left(processes)


class Refusals(Work):
    def refused(self, exit_code, *arguments, said=()):
        done = subprocess.run([str(HEARTH), "dev", *map(str, arguments)], capture_output=True, text=True, timeout=20 * PATIENCE,
                              env=self.environment(), check=False)
        self.assertEqual(done.returncode, exit_code, done.stderr)
        for text in said:
            self.assertIn(text, done.stderr)
        self.assert_nothing_left()

    def test_a_port_in_use_is_named(self):
        self.write("hello/app.py", PY.format("x"))
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.refused(EXIT["usage"], self.work / "hello", "--port", port, said=[str(port), "--port"])

    def test_a_folder_that_is_not_there_and_a_mode_that_is_none(self):
        self.refused(EXIT["usage"], self.work / "none", said=["none"])
        self.refused(EXIT["usage"], self.work, "--sandbox", "strickt", said=["strict"])


class Local(Work):
    def local(self, *arguments, stdin="", exit_code=0):
        done = subprocess.run([str(HEARTH), "invoke", "--local", *map(str, arguments)], input=stdin, capture_output=True, text=True,
                              timeout=60 * PATIENCE, env=self.environment(), cwd=self.work, check=False)
        self.assertEqual(done.returncode, exit_code, done.stdout + done.stderr)
        self.assert_nothing_left()
        return done

    def test_the_reply_is_on_stdout_and_what_it_writes_on_stderr(self):
        self.write("hello/app.py", "import os\ndef handler(event, context):\n    print('wrote')\n    return [event, os.environ.get('A')]\n")
        self.write("hello/.env", "A=1\n")
        done = self.local("hello", "--data", '{"a": 1}')
        self.assertEqual(json.loads(done.stdout), [{"a": 1}, "1"])
        self.assertEqual(done.stderr, "wrote\n")
        self.write("event.json", "[2]")
        self.assertEqual(json.loads(self.local("hello", "--event", "event.json").stdout)[0], [2])
        self.assertEqual(json.loads(self.local("hello", "--event", "-", stdin="3").stdout)[0], 3)
        self.assertIn("Records", json.loads(self.local("hello", "--event", "s3").stdout)[0])
        outcome = json.loads(self.local("hello", "--json").stdout)
        self.assertEqual((outcome["status"], outcome["error"], outcome["reply"]), (200, None, [{}, "1"]))

    def test_node_functions_of_any_memory_run_too(self):
        self.write("js/index.mjs", NODE.format("x"))
        self.write("js/function.yaml", "memory: 192MB\n")
        self.assertEqual(json.loads(self.local("js").stdout)["body"], "x")

    def test_the_exit_code_tells_the_outcome(self):
        self.write("fails/app.py", "def handler(event, context):\n    raise ValueError('no')\n")
        done = self.local("fails", exit_code=EXIT["function_error"])
        self.assertEqual(json.loads(done.stdout)["errorType"], "ValueError")
        self.write("breaks/app.py", "def\n")
        self.assertIn("SyntaxError", self.local("breaks", exit_code=EXIT["function_error"]).stderr)
        self.write("dies/app.py", "import os\ndef handler(event, context):\n    os._exit(1)\n")
        self.assertIn("Runtime", self.local("dies", exit_code=EXIT["function_error"]).stdout)
        self.write("hangs/app.py", "def handler(event, context):\n    while True: pass\n")
        self.write("hangs/function.yaml", "timeout: 300ms\n")
        self.local("hangs", exit_code=EXIT["timeout"])
        self.local("none", exit_code=EXIT["usage"])
        self.local("fails", "--event", "no-such-event", exit_code=EXIT["usage"])
        self.local("fails", "--data", "{", exit_code=EXIT["usage"])
        self.write("fails/.env", "=\n")
        self.assertIn(".env:1:", self.local("fails", exit_code=EXIT["usage"]).stderr)
        self.write("good/app.py", PY.format("x"))
        if os.geteuid() != 0:
            self.local("good", "--sandbox", "strict", exit_code=EXIT["refused"])

    def test_it_runs_in_the_sandbox(self):
        self.write("hello/app.py", "import os\ndef handler(event, context):\n    return [os.getuid(), os.path.exists('%s'), os.getpid()]\n" % self.work)
        uid, work, pid = json.loads(self.local("hello").stdout)
        self.assertNotEqual(uid, 0)
        self.assertFalse(work)
        self.assertLess(pid, 10, "a process namespace of its own")

    def test_a_degraded_function_finds_no_state_in_tmp(self):
        self.write("hello/app.py", "def handler(event, context):\n    return __file__\n")
        code = json.loads(self.local("hello", "--sandbox", "degraded").stdout)
        self.assertTrue(code.startswith("/var/tmp/hearth-state-"), code)  # the TMPDIR of this test lies in /tmp
        self.assertFalse(os.path.exists(code))

    def test_a_signal_ends_it_and_leaves_nothing(self):
        self.write("hangs/app.py", "def handler(event, context):\n    print('runs', flush=True)\n    while True: pass\n")
        self.write("hangs/function.yaml", "timeout: 60s\n")
        process = subprocess.Popen([str(HEARTH), "invoke", "--local", str(self.work / "hangs")], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=self.environment())
        self.assertIn(b"runs", process.stderr.readline())
        processes = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10 * PATIENCE)
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assert_nothing_left(processes)


if __name__ == "__main__":
    unittest.main()
