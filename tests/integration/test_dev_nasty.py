"""What a folder can hold, and a machine can lack, while `hearth dev` runs: nothing takes it down, and what is wrong is said."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import unittest

from harness import EXIT, HEARTH, IS_ROOT, PATIENCE, wait_until
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

    def test_the_folder_goes_and_comes_back(self):
        path = self.write("all/a/app.py", PY.format("a"))
        dev = Dev(self, self.work / "all").ready()
        shutil.rmtree(path.parent)
        dev.wait("a removed")
        self.write("all/a/app.py", PY.format("b"))
        dev.serves("b")


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
