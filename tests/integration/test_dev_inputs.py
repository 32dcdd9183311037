"""What a developer can mistype or lack: each command refuses it with what is wrong and what to do, at once, and leaves nothing behind."""
import http.client
import os
import pathlib
import re
import socket
import subprocess
import unittest

from harness import EXIT, HEARTH, IS_ROOT, NOBODY, PATIENCE, wait_until
from test_dev import PY, Work, free_port

ECHO = "def handler(event, context):\n    return event\n"


class Inputs(Work):
    def run_hearth(self, *arguments, before=(), stdin=subprocess.DEVNULL, environment=None):
        return subprocess.run([*before, str(HEARTH), *map(str, arguments)], stdin=stdin, capture_output=True, text=True, cwd=self.work,
                              timeout=30 * PATIENCE, env={**self.environment(), **(environment or {})}, check=False)

    def refused(self, arguments, what="", why="", todo="", code=EXIT["usage"], **how):
        with self.subTest(arguments):
            done = self.run_hearth(*arguments, **how)
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)
            parts = dict(re.findall(r"(?m)^ *(hearth|why|try): (.*)$", done.stderr))
            for key, words in (("hearth", what), ("why", why), ("try", todo)):
                self.assertIn(words, parts.get(key, ""), done.stderr)
            self.assertIn("try", parts, "what to do: " + done.stderr)
            self.assertNotIn("operating system call", done.stderr)
            self.assert_nothing_left()

    def folders(self):
        self.write("good/app.py", ECHO)
        self.write("file", "")
        (self.work / "empty").mkdir()
        (self.work / "loop").symlink_to("loop")
        self.write("unbuilt/function.yaml", "runtime: native\nhandler: app\n")
        self.write("unbuilt/Makefile", "app:\n")
        self.write("broken/app.py", ECHO)
        self.write("broken/function.yaml", "timeout: [\n")

    def test_folders(self):
        self.folders()
        for command in (("dev", "--port", "0"), ("invoke", "--local")):
            self.refused((*command, "gone"), "gone", "No such file or directory", "hearth new TEMPLATE DIR")
            self.refused((*command, "file"), "file", "Not a directory", "name the folder that the file is in")
            self.refused((*command, "loop"), "loop", "Too many levels of symbolic links")
        self.refused(("invoke", "--local", "empty"), "empty", "holds no function", "hearth new")
        self.refused(("invoke", "--local", "broken"), "broken", "function.yaml:", "correct broken/function.yaml")
        self.refused(("invoke", "--local", "unbuilt"), "unbuilt", "app' is not there", "make -C unbuilt")
        self.refused(("dev", "", "--port", "0"), "''", "No such file or directory")

    @unittest.skipUnless(IS_ROOT, "root becomes another user for this")
    def test_what_the_user_may_not(self):
        self.folders()
        (self.work / "good").chmod(0)
        (self.work / "mine").mkdir()
        self.tmp.chmod(0o777)
        binary = self.work / "hearth"
        binary.write_bytes(HEARTH.read_bytes())
        binary.chmod(0o755)
        nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")

        def refused(arguments, *said, code=EXIT["usage"]):
            with self.subTest(arguments):
                done = subprocess.run([*nobody, str(binary), *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                      cwd=self.work, timeout=30 * PATIENCE, env=self.environment(), check=False)
                self.assertEqual(done.returncode, code, done.stdout + done.stderr)
                for text in said:
                    self.assertIn(text, done.stderr)
                self.assert_nothing_left()

        refused(("dev", "good", "--port", "0"), "good", "Permission denied", "try:")
        refused(("invoke", "--local", "good"), "good", "Permission denied", "try:")
        refused(("new", "http-python", "mine/x"), "mine/x", "Permission denied", "that you may write to")
        if int(pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) > 80:
            self.write("other/app.py", PY.format("x"))
            done = subprocess.run([*nobody, str(binary), "dev", "other", "--port", "80"], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  cwd=self.work, timeout=30 * PATIENCE, env=self.environment(), check=False)
            if "sandbox" not in done.stderr:  # where plain users have no namespaces, that is said first
                self.assertEqual(done.returncode, EXIT["usage"], done.stderr)
                self.assertIn("ports below 1024", done.stderr)

    def test_ports(self):
        self.folders()
        for word in ("99999", "-1", "abc", "", "80.5"):
            self.refused(("dev", "good", "--port", word), f"'{word}' is not a port")
            self.refused(("dev", "good", "--debug", word), f"'{word}' is not a port")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.refused(("dev", "good", "--port", port), "can't serve good", f"127.0.0.1:{port}", "--port 0")
        self.write("native/function.yaml", "runtime: native\nhandler: app\n")
        self.write("native/app", "#!/bin/true\n").chmod(0o755)
        self.refused(("dev", "native", "--port", "0", "--debug", "5678"), "native", "--debug is for Node and Python", "hearth dev --help")

    def test_events(self):
        self.folders()
        self.write("cut.json", '{"a": ')
        big = self.write("big.json", '"' + "a" * 7_000_000 + '"')
        local = ("invoke", "--local", "good")
        self.refused((*local, "--event", "gone.json"), "event", "'gone.json' is neither a file nor a sample event")
        self.refused((*local, "--event", "kafak"), "event", "the nearest event is 'kafka'")
        self.refused((*local, "--event", "empty"), "event", "'empty' is neither a file")
        self.refused((*local, "--event", ""), "--event names no event")
        self.refused((*local, "--event", "cut.json"), "not JSON", "line 1, column 7")
        self.refused((*local, "--event", "/dev/zero"), "event", "not a regular file")
        self.refused((*local, "--event", "-"), "not JSON", "end of input")
        self.refused((*local, "--event", big), "good", f"{big.stat().st_size} bytes; as by Invoke, at most {6 << 20} are allowed", "send less")
        self.refused((*local, "--event", "s3", "--data", "{}"), "--event and --data")
        self.refused((*local, "--wait", "1s"), "--wait")
        self.refused((*local, "--env", "gone.env"), "good", "gone.env", "--env")
        self.refused(("dev", "good", "--port", "0", "--env", "gone.env"), "good", "gone.env", "--env")
        closed = subprocess.run(["bash", "-c", f"exec {HEARTH} invoke --local good --event - <&-"], capture_output=True, text=True, cwd=self.work,
                                timeout=30 * PATIENCE, env=self.environment(), check=False)
        self.assertEqual(closed.returncode, EXIT["usage"])
        self.assertIn("standard input can't be read", closed.stderr)

    def test_a_byte_order_mark_is_no_part_of_an_event(self):
        self.folders()
        (self.work / "bom.json").write_bytes(b'\xef\xbb\xbf{"a":1}')
        done = self.run_hearth("invoke", "--local", "good", "--event", "bom.json")
        self.assertEqual((done.returncode, done.stdout.strip()), (0, '{"a":1}'), done.stderr)

    def test_new(self):
        self.folders()
        self.write("full/x", "")
        for folder, what, why in (("full", "full can't be used", "files in it"), ("file", "file is not a folder", ""),
                                  ("file/x", "can't make file/x", "Not a directory"), ("loop", "can't make loop", "Too many levels"),
                                  ("my fn", "'my fn' can't be", "letters, digits"), ("n" * 65, "can't be a function's name", "1 to 64"),
                                  ("/", "'' can't be", ""), ("/proc/none", "can't make /proc/none", "")):
            self.refused(("new", "http-python", folder), what, why)
        self.assertEqual([path.name for path in (self.work / "full").iterdir()], ["x"])

    def test_what_can_not_be_printed_is_no_success(self):
        for command in ("event s3", "completion bash", "new --list", "help --man"):
            for where, why in ((">/dev/full", "No space left"), (">&-", "Bad file descriptor")):
                with self.subTest(command + where):
                    done = subprocess.run(["bash", "-c", f"exec {HEARTH} {command} {where}"], capture_output=True, text=True, check=False)
                    self.assertEqual(done.returncode, EXIT["usage"])
                    self.assertIn("could not be written", done.stderr)
                    self.assertIn(why, done.stderr)
        done = subprocess.run(["bash", "-c", f"{HEARTH} completion bash | head -n 1; exit ${{PIPESTATUS[1]}}"], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_closed_stream_is_no_number_for_another_file(self):
        """With stdout closed, what is opened first would get its number, and what is printed."""
        self.folders()
        port = free_port()
        with subprocess.Popen(["bash", "-c", f"exec {HEARTH} dev good --port {port} <&- >&- 2>&-"], cwd=self.work, env=self.environment()) as process:
            self.addCleanup(process.kill)

            def served():
                try:
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20 * PATIENCE)
                    connection.request("GET", "/")
                    return connection.getresponse().status == 200
                except OSError:
                    return False
                finally:
                    connection.close()

            wait_until(served, "it serves")
            self.assertEqual([os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in range(3)], ["/dev/null"] * 3)
            process.terminate()
            self.assertEqual(process.wait(10 * PATIENCE), 0)
        self.assert_nothing_left()

    def test_doctor_names_a_fix_for_all_that_is_missing(self):
        done = self.run_hearth("doctor", "--server", "http://127.0.0.1:1")
        missing = re.search(r"(?s)what is missing, and the fix\n(.*)\n\S", done.stdout)
        for entry in re.split(r"(?m)^  (?=\S)", missing.group(1) if missing else "")[1:]:
            self.assertRegex(entry, r"(?m)^    (type|hearth\.yaml|config)", done.stdout)
        self.assertRegex(done.stdout.splitlines()[-1], "^(not )?ready: ")
        for arguments, why in ((("--config", "gone.yaml"), "gone.yaml"), (("--config", "."), "not a regular file")):
            self.refused(("doctor", *arguments), "configuration", why, "--config")


if __name__ == "__main__":
    unittest.main()
