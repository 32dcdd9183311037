"""What a folder can hold, and a machine can lack, while `hearth dev` runs: nothing takes it down, and what is wrong is said."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import unittest

import test_dev
from harness import EXIT, HEARTH, IS_ROOT, PATIENCE, descendants, wait_until
from test_dev import NODE, PY, Dev, Work, free_port, save


class Folders(Work):
    def test_a_huge_dotenv_is_refused_without_being_read(self):
        app = self.write("hello/app.py", PY.format("x"))
        dev = Dev(self, self.work / "hello").ready()
        with open(self.work / "hello/.env", "wb") as env:
            env.truncate(100 << 20)
        dev.wait("the code before goes on")
        self.assertRegex(dev.shown, r"\.env is larger than 65536 bytes")
        self.assertEqual(dev.get().text, "x")
        peak = int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{dev.process.pid}/status").read_text()).group(1))
        self.assertLess(peak, 100 << 10, "kB")
        (self.work / "hello/.env").unlink()
        save(app, PY.format("y"))
        dev.serves("y")

    def test_a_dotenv_that_is_no_file_is_named(self):
        self.write("hello/app.py", PY.format("x"))
        os.mkfifo(self.work / "hello/.env")
        dev = Dev(self, self.work / "hello").wait("not loaded", 20)
        self.assertIn(".env", dev.shown)
        dev.key(b"\x03")
        self.assertEqual(dev.process.wait(10 * PATIENCE), 0)

    def test_a_tree_with_loops_of_links_is_served(self):
        self.write("all/a/app.py", PY.format("a"))
        (self.work / "all/loop").symlink_to(self.work / "all")
        (self.work / "all/self").symlink_to("self")
        (self.work / "all/up").symlink_to("..")
        dev = Dev(self, self.work / "all").ready()
        self.assertEqual(dev.get().text, "a")
        save(self.work / "all/a/app.py", PY.format("a2"))
        dev.serves("a2")
        # In a function a loop has no end: it is named, and what served goes on.
        (self.work / "all/a/loop").symlink_to(".")
        dev.wait("the code before goes on")
        self.assertIn(str(self.work / "all/a/loop"), dev.shown)
        self.assertEqual(dev.get().text, "a2")
        (self.work / "all/a/loop").unlink()
        save(self.work / "all/a/app.py", PY.format("a3"))
        dev.serves("a3")

    def test_names_that_are_not_utf_8_are_said_and_do_no_harm(self):
        self.write("all/a/app.py", PY.format("a"))
        dev = Dev(self, self.work / "all", "--json", terminal=False).wait('"ready"')
        strange = os.fsencode(self.work / "all/a") + b"/caf\xe9\x1b[31m.py"
        with open(strange, "wb"):
            pass
        dev.wait('"load_failed"')
        self.assertEqual(dev.get().text, "a")
        self.assertNotIn(b"\x1b", dev.text, "a file's name paints nothing")
        os.unlink(strange)
        save(self.work / "all/a/app.py", PY.format("b"))
        dev.serves("b")
        folder = os.fsencode(self.work / "all") + b"/caf\xe9"
        os.mkdir(folder)
        with open(folder + b"/app.py", "w", encoding="utf-8") as file:
            file.write(PY.format("c"))
        wait_until(lambda: dev.text.count(b'"load_failed"') >= 2, "its name is no name of a function:\n" + dev.shown)
        self.assertEqual(dev.get("/fn/a/").text, "b")
        dev.process.send_signal(signal.SIGTERM)
        self.assertEqual(dev.process.wait(10 * PATIENCE), 0)

    def test_saves_as_editors_make_them(self):
        path = self.write("js/index.mjs", NODE.format(0))
        dev = Dev(self, self.work / "js").ready()

        def backup(text):  # vim: the old file becomes a backup, a new one is written, the backup goes
            path.rename(path.with_name("index.mjs~"))
            path.write_text(text)
            path.with_name("index.mjs~").unlink()

        def temporary(text):  # VS Code, gedit
            fresh = path.with_name(".goutputstream-X1")
            fresh.write_text(text)
            os.replace(fresh, path)

        def in_parts(text):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text[:10])
                file.flush()
                file.write(text[10:])

        def gone_and_back(text):  # git checkout
            path.unlink()
            path.write_text(text)

        def whole_folder(text):  # a deploy script: the folder is exchanged
            fresh = self.work / "fresh"
            fresh.mkdir()
            (fresh / "index.mjs").write_text(text)
            shutil.rmtree(self.work / "js/lib", ignore_errors=True)
            fresh.rename(self.work / "js/lib")
            path.write_text(text)

        for number, way in enumerate((save, backup, temporary, in_parts, gone_and_back, whole_folder), 1):
            with self.subTest(way=way.__name__):
                way(path, NODE.format(number)) if way is save else way(NODE.format(number))
                dev.serves(str(number))

    def test_the_served_folder_itself_goes_and_comes_back(self):
        """As when another branch is checked out: what was loaded serves on, and the folder is watched again."""
        folder = self.work / "one"
        for way in ("deleted", "renamed"):
            with self.subTest(way):
                self.write("one/app.py", PY.format("old"))
                dev = Dev(self, folder).ready()
                shutil.rmtree(folder) if way == "deleted" else folder.rename(self.work / "away")
                dev.wait("until the folder is back")
                self.assertEqual(dev.get().text, "old")
                if way == "renamed":
                    save(self.work / "away/app.py", PY.format("elsewhere"))
                path = self.write("one/app.py", PY.format("new"))
                dev.serves("new")
                save(path, PY.format("newer"))
                dev.serves("newer")
                dev.key(b"\x03")
                self.assertEqual(dev.process.wait(10 * PATIENCE), 0)

    def test_a_refused_name_is_given_when_its_owner_goes(self):
        self.write("all/a/app.py", PY.format("first"))
        self.write("all/b/app.py", PY.format("second"))
        self.write("all/b/function.yaml", "name: a\n")
        self.write("all/c/app.py", PY.format("c"))
        dev = Dev(self, self.work / "all").ready()
        self.assertIn("has a function 'a' already; give one of them another name", dev.shown)
        served, other = ("first", "second") if dev.get("/fn/a/").text == "first" else ("second", "first")
        shutil.rmtree(self.work / ("all/a" if served == "first" else "all/b"))
        dev.serves(other, "/fn/a/")
        # A function that gets another name frees its own too.
        self.write("all/d/app.py", PY.format("d"))
        self.write("all/d/function.yaml", "name: c\n")
        dev.wait("has a function 'c' already")
        save(self.write("all/c/function.yaml", ""), "name: e\n")
        dev.serves("c", "/fn/e/")
        dev.serves("d", "/fn/c/")

    def test_a_manifest_that_breaks_is_said_and_mended_by_the_next_save(self):
        self.write("hello/app.py", PY.format("x"))
        manifest = self.write("hello/function.yaml", "tmeout: 3\n")
        dev = Dev(self, self.work / "hello").ready()
        self.assertIn("function.yaml:1: unknown key 'tmeout'", dev.shown)
        self.assertIn("no function could be read yet", dev.shown, "it is not that there is none")
        save(manifest, "timeout: 3s\n")
        dev.serves("x")
        save(manifest, "{{{\n")
        dev.wait("not YAML")
        self.assertEqual(dev.get().text, "x")
        save(manifest, "name: other\n")
        dev.serves("x", "/fn/other/")
        wait_until(lambda: dev.get("/fn/hello/").status == 404, "the old name has gone")

    def test_an_environment_file_that_was_asked_for_has_to_be_there(self):
        self.write("hello/app.py", "import os\ndef handler(event, context):\n    return os.environ.get('A', 'none')\n")
        env = self.write("dev.env", "\ufeffA='one two'\r\n")
        dev = Dev(self, self.work / "hello", "--env", str(env)).ready()
        self.assertEqual(dev.get().text, "one two")
        env.unlink()
        dev.wait("the code before goes on")
        self.assertIn(f"{env} can't be read", dev.shown)
        env.write_text("A=three\n")
        dev.serves("three")

    def test_a_storm_of_saves_ends_with_the_last_one(self):
        path = self.write("hello/app.py", PY.format("first"))
        dev = Dev(self, self.work / "hello").ready()
        for number in range(101):
            save(path, PY.format(number) if number % 3 else "def\n")
        dev.serves("100")
        dev.key(b"\x03")
        self.assertEqual(dev.process.wait(10 * PATIENCE), 0)
        self.assert_nothing_left()

    def test_the_folder_goes_and_comes_back(self):
        path = self.write("all/a/app.py", PY.format("a"))
        dev = Dev(self, self.work / "all").ready()
        shutil.rmtree(path.parent)
        dev.wait("a removed")
        self.write("all/a/app.py", PY.format("b"))
        dev.serves("b")


class Code(Work):
    """What a module or a handler does to the process that runs it."""

    ENDS = (("import os\nos._exit(0)\n", "exit status 0"), ("import sys\nsys.exit(0)\n", "exit(0)"),
            ("import os\nos.kill(os.getpid(), 9)\n", "signal: killed"), ("handler = 3\n", "not callable"), ("", "missing on module"),
            ("\0", "null bytes"))

    def test_a_module_that_ends_its_process_is_explained_and_mended(self):
        path = self.write("hello/app.py", "")
        dev = None
        for number, (code, said) in enumerate(self.ENDS):
            with self.subTest(code=code):
                start = len(dev.shown) if dev else 0
                save(path, code)
                dev = dev or Dev(self, self.work / "hello").ready()
                dev.wait(said, start=start)
                self.assertEqual(dev.get().status, 502)
        save(path, PY.format("mended"))
        dev.serves("mended")
        for code, said in self.ENDS[:3]:
            start = len(dev.shown)
            save(path, code)
            dev.wait("the code before goes on", start=start)
            self.assertIn(said, dev.shown[start:])
            self.assertEqual(dev.get().text, "mended")

    def test_what_a_handler_throws_is_shown_with_the_developers_own_file_and_line(self):
        cases = (("py/app.py", "import lib\ndef handler(event, context):\n    return lib.half(event)\n", "py/lib.py", "\ndef half(event):\n    return 1 / 0\n",
                  ("ZeroDivisionError", 'app.py", line 3', 'lib.py", line 3')),
                 ("js/index.mjs", "import {half} from './lib.mjs';\nexport const handler = async () =>\n  half();\n", "js/lib.mjs",
                  "\nexport const half = () => {\n  throw new RangeError('half');\n};\n", ("RangeError", "index.mjs:3:", "lib.mjs:3:")))
        for file, code, other, more, said in cases:
            with self.subTest(file):
                path = self.write(file, code)
                self.write(other, more)
                dev = Dev(self, path.parent).ready()
                self.assertEqual(dev.get().status, 502)
                dev.wait("GET /  502 ")
                for text in said:
                    dev.wait(text)
                self.assertIn(f"{path.parent}/lib", dev.shown)
                self.assertNotIn("/var/task", dev.shown)
                dev.end()

    def test_it_runs_in_the_sandbox_of_production_unless_told_otherwise(self):
        self.write("hello/app.py", f"import os\ndef handler(event, context):\n    return [os.path.exists('{self.work}'), os.getpid() < 10]\n")
        dev = Dev(self, self.work / "hello").ready()
        self.assertIn("(sandbox: " + ("strict" if IS_ROOT else "user") + ")", dev.shown)
        self.assertEqual(dev.get().json(), [False, True], "another root, and process numbers of its own")
        dev.end()
        dev = Dev(self, self.work / "hello", "--sandbox", "degraded").ready()
        self.assertIn("functions can do here what they can't in production", dev.shown)
        self.assertIn("(sandbox: degraded)", dev.shown)
        self.assertFalse(dev.get().json()[1])

    def test_what_a_handler_leaves_running_ends_with_it_all(self):
        self.write("hello/app.py", "import os, time\ndef handler(event, context):\n    for _ in range(3):\n        if os.fork() == 0:\n"
                                   "            os.setsid()\n            if os.fork() == 0:\n                time.sleep(1000)\n            os._exit(0)\n"
                                   "    return 'x'\n")
        dev = Dev(self, self.work / "hello").ready()
        before = len(descendants(dev.process.pid))
        self.assertEqual(dev.get().text, "x")
        wait_until(lambda: len(descendants(dev.process.pid)) >= before + 3, "the processes that were left")
        processes = descendants(dev.process.pid)
        dev.key(b"\x03")
        self.assertEqual(dev.process.wait(10 * PATIENCE), 0)
        self.assert_nothing_left(processes)

    def test_a_flood_of_lines_harms_no_call(self):
        self.write("hello/app.py", "def handler(event, context):\n    for i in range(20000):\n        print('flood', i)\n    return 'x'\n")
        dev = Dev(self, self.work / "hello").ready()
        self.assertEqual(dev.get().text, "x")
        dev.wait("hello GET /  200 ")
        self.assertEqual(dev.get().text, "x")


class Terminal(Work):
    def test_a_terminal_that_knows_no_colour_gets_none(self):
        self.write("hello/app.py", PY.format("x"))
        for environment, colour in (({"TERM": "dumb"}, False), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": "", "COLUMNS": "20"}, True)):
            with self.subTest(environment):
                dev = Dev(self, self.work / "hello", environment=environment).ready()
                self.assertEqual(b"\x1b[" in dev.text, colour)
                dev.end()

    def test_it_ends_when_nobody_reads_what_it_prints(self):
        """`hearth dev | head -n 1`: as any program of a pipe, but with its workers."""
        self.write("hello/app.py", "def handler(event, context):\n    print('a line')\n    return 'x'\n")
        port = free_port()
        with subprocess.Popen([str(HEARTH), "dev", str(self.work / "hello"), "--port", str(port)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, env=self.environment(), cwd="/") as process:
            self.addCleanup(process.kill)
            while b"Ctrl-C ends" not in process.stdout.readline():
                pass
            processes = descendants(process.pid)
            process.stdout.close()
            test_dev.End.call_in_vain(port)  # prints a line
            self.assertEqual(process.wait(10 * PATIENCE), 0)
        self.assert_nothing_left(processes)

    def test_nohup_is_respected(self):
        self.write("hello/app.py", PY.format("x"))
        with subprocess.Popen([str(HEARTH), "dev", str(self.work / "hello"), "--port", "0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              env=self.environment(), cwd="/", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as process:
            self.addCleanup(process.kill)
            while b"Ctrl-C ends" not in process.stdout.readline():
                pass
            process.send_signal(signal.SIGHUP)
            self.write("hello/app.py", PY.format("y"))
            while b"new code is live" not in process.stdout.readline():  # it lives on
                self.assertIsNone(process.poll())
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(10 * PATIENCE), 0)
        self.assert_nothing_left()


class Machine(Work):
    def test_a_taken_port_for_the_debugger_is_named(self):
        self.write("js/index.mjs", NODE.format("x"))
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            done = subprocess.run([str(HEARTH), "dev", str(self.work / "js"), "--port", "0", "--debug", str(port)], capture_output=True, text=True,
                                  timeout=20 * PATIENCE, env=self.environment(), check=False)
        self.assertEqual(done.returncode, EXIT["usage"])
        self.assertIn(str(port), done.stderr)
        self.assertIn("--debug", done.stderr)
        self.assert_nothing_left()

    def test_the_same_port_for_both_is_refused(self):
        self.write("js/index.mjs", NODE.format("x"))
        port = str(free_port())
        done = subprocess.run([str(HEARTH), "dev", str(self.work / "js"), "--port", port, "--debug", port], capture_output=True, text=True,
                              timeout=20 * PATIENCE, env=self.environment(), check=False)
        self.assertEqual(done.returncode, EXIT["usage"])
        self.assertIn(port, done.stderr)
        self.assert_nothing_left()

    def test_a_place_without_room_is_named(self):
        self.write("hello/app.py", PY.format("x"))
        environment = {**self.environment(), "TMPDIR": "/nonexistent/place"}
        for command in (["dev", str(self.work / "hello"), "--port", "0"], ["invoke", "--local", str(self.work / "hello")]):
            done = subprocess.run([str(HEARTH), *command], capture_output=True, text=True, timeout=20 * PATIENCE, env=environment, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("/nonexistent/place", done.stderr)
            self.assertIn("TMPDIR", done.stderr)

    @unittest.skipUnless(IS_ROOT, "mounting needs root")
    def test_a_full_disk_is_said_and_the_next_save_with_room_is_served(self):
        path = self.write("hello/app.py", PY.format("old"))
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(self.tmp)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.skipTest("no tmpfs can be mounted here: " + done.stderr.strip())
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.tmp)], check=False)
        dev = Dev(self, self.work / "hello").ready()
        self.assertEqual(dev.get().text, "old")
        with open(self.tmp / "ballast", "wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"x" * 4096)
            except OSError:
                pass
        save(path, PY.format("no room for this"))
        dev.wait("not loaded")
        self.assertRegex(dev.shown, "(?i)no space|disk is full|disk_full|full")
        self.assertEqual(dev.get().text, "old")
        (self.tmp / "ballast").unlink()
        save(path, PY.format("room"))
        dev.serves("room")
        dev.key(b"\x03")
        self.assertEqual(dev.process.wait(10 * PATIENCE), 0)
        self.assertEqual(list(self.tmp.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
