"""The command line: what each command prints, --json, exit codes."""
import json
import re
import subprocess
import threading
import time
import unittest

from harness import EXIT, HEARTH, DaemonTest, wait_until

PY = "def handler(event, context):\n    print('said', event)\n    return {'got': event}\n"


class CommandLine(DaemonTest):
    @classmethod
    def deploy_functions(cls):
        cls.daemon.python("greeter", PY)

    def run_alone(self, *arguments):
        return self.daemon.cli(*arguments, server=False)

    def test_help_names_every_command(self):
        done = self.run_alone("--help")
        self.assertEqual(done.returncode, 0)
        for command in ("serve", "deploy", "invoke", "list", "delete", "logs", "doctor", "version"):
            self.assertIn(command, done.stdout)
            detail = self.run_alone(command, "--help")
            self.assertEqual(detail.returncode, 0, detail.stderr)
            self.assertIn(command, detail.stdout)

    def test_usage_errors(self):
        for arguments in ((), ("frobnicate",), ("invoke",), ("deploy",), ("list", "--no-such-flag"), ("serve", "--sandbox")):
            with self.subTest(arguments=arguments):
                done = self.run_alone(*arguments)
                self.assertEqual(done.returncode, EXIT["usage"], done.stdout + done.stderr)
                self.assertTrue(done.stderr + done.stdout)

    def test_version(self):
        done = self.run_alone("version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"\d+\.\d+\.\d+")
        self.assertRegex(json.loads(self.run_alone("version", "--json").stdout)["version"], r"^\d+\.\d+\.\d+")

    def test_doctor_tells_layers_and_interpreters(self):
        done = self.run_alone("doctor")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        text = done.stdout.lower()
        for word in ("seccomp", "pid", "net", "mount", "/usr/bin/", "python", "node"):
            self.assertIn(word, text)
        self.assertRegex(done.stdout, r"3\.\d+\.\d+")
        facts = json.loads(self.run_alone("doctor", "--json").stdout)
        self.assertTrue(facts)

    def test_doctor_never_looks_at_path(self):
        done = self.daemon.cli("doctor", server=False, env={"PATH": "/nonexistent"})
        self.assertIn("/usr/bin/python3", done.stdout)

    def test_deploy_list_delete(self):
        done = self.daemon.deploy("brief", {"app.py": PY})
        self.assertIn("brief", done.stdout)
        listed = self.daemon.cli("list", check=0).stdout
        self.assertIn("brief", listed)
        self.assertIn("greeter", listed)
        names = {entry.get("name") or entry.get("FunctionName") for entry in as_list(json.loads(self.daemon.cli("list", "--json", check=0).stdout))}
        self.assertLessEqual({"brief", "greeter"}, names)
        self.daemon.cli("delete", "brief", check=0)
        self.assertNotIn("brief", self.daemon.cli("list", check=0).stdout)
        self.daemon.cli("delete", "brief", check=EXIT["refused"])
        self.assertEqual(self.daemon.invoke("brief").status, 404)

    def test_deploy_as_json(self):
        folder = self.daemon.folder("as_json", {"app.py": PY})
        facts = json.loads(self.daemon.cli("deploy", folder, "--json", check=0).stdout)
        self.assertIn("as_json", json.dumps(facts))
        self.daemon.cli("delete", "as_json", check=0)

    def test_deploy_of_nothing(self):
        for folder in ("/nonexistent", "/etc/hostname"):
            done = self.daemon.cli("deploy", folder)
            self.assertEqual(done.returncode, EXIT["usage"], done.stdout)
            self.assertIn(folder, done.stderr)

    def test_invoke_prints_the_reply_alone(self):
        done = self.daemon.cli("invoke", "greeter", "--data", '{"a": 1}', check=0)
        self.assertEqual(json.loads(done.stdout), {"got": {"a": 1}})
        self.assertEqual(json.loads(self.daemon.cli("invoke", "greeter", check=0).stdout), {"got": {}})

    def test_invoke_exit_codes(self):
        self.daemon.python("thrower", "def handler(event, context):\n    raise ValueError('oh no')\n")
        done = self.daemon.cli("invoke", "thrower", check=EXIT["function_error"])
        self.assertIn("oh no", done.stdout + done.stderr)
        done = self.daemon.cli("invoke", "absent", check=EXIT["refused"])
        self.assertIn("absent", done.stderr)
        self.daemon.python("sleeper", "import time\ndef handler(event, context):\n    time.sleep(20)\n",
                           "timeout: 1s\nconcurrency: {workers_max: 1, queue: 1}\n")
        self.daemon.cli("invoke", "sleeper", check=EXIT["timeout"])
        self.daemon.cli("invoke", "greeter", "--data", "not json", check=EXIT["usage"])

    def test_logs(self):
        self.daemon.cli("invoke", "greeter", "--data", '"for the log"', check=0)
        wait_until(lambda: "said for the log" in self.daemon.cli("logs", "greeter", check=0).stdout, "the line in the log")
        self.daemon.cli("logs", "absent", check=EXIT["refused"])

    def test_logs_as_json_are_one_object_a_line(self):
        self.daemon.cli("invoke", "greeter", "--data", '"in json"', check=0)

        def lines():
            text = self.daemon.cli("logs", "greeter", "--json", check=0).stdout
            return [json.loads(line) for line in text.splitlines()] if "in json" in text else None

        entries = wait_until(lines, "the line in the log")
        self.assertTrue(all(isinstance(entry, dict) for entry in entries))

    def test_logs_follow(self):
        follower = subprocess.Popen([HEARTH, "logs", "greeter", "--follow", "--server", self.daemon.url], stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL, text=True, env=self.daemon.environment())
        seen = []
        thread = threading.Thread(target=lambda: seen.extend(follower.stdout), daemon=True)
        thread.start()
        try:
            def said():
                self.daemon.invoke("greeter", "follow me")
                time.sleep(0.1)
                return any("said follow me" in line for line in seen)

            wait_until(said, "a followed line", 15)
            self.assertIsNone(follower.poll(), "it follows until it is told to stop")
        finally:
            follower.terminate()
            follower.wait(10)
            thread.join(5)
            follower.stdout.close()

    def test_control_characters_are_escaped_for_people(self):
        self.daemon.python("painter", "def handler(event, context):\n    print('before \\x1b[31mred\\x07 after')\n    return 1\n")
        self.daemon.invoke("painter")
        text = wait_until(lambda: re.search(".*before.*", self.daemon.cli("logs", "painter", check=0).stdout), "the line").group(0)
        self.assertIn("red", text)
        script = f"{HEARTH} logs painter --server {self.daemon.url}"
        shown = subprocess.run(["script", "-qec", script, "/dev/null"], capture_output=True, timeout=30, check=False,
                               stdin=subprocess.DEVNULL).stdout
        line = next(line for line in shown.splitlines() if b"before" in line)
        self.assertNotIn(b"\x1b[31mred", line)
        self.assertNotIn(b"\x07", line)

    def test_the_server_from_the_environment(self):
        done = self.daemon.cli("list", server=False, env={"HEARTH_SERVER": self.daemon.url})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("greeter", done.stdout)

    def test_a_server_that_is_not_there(self):
        for command in (("list",), ("invoke", "greeter"), ("delete", "greeter"), ("logs", "greeter")):
            done = self.daemon.cli(*command, "--server", "http://127.0.0.1:1", server=False)
            self.assertEqual(done.returncode, EXIT["unreachable"], done.stderr)
            self.assertIn("127.0.0.1:1", done.stderr)

    def test_an_unusable_server_address(self):
        done = self.daemon.cli("list", "--server", "not a url", server=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertTrue(done.stderr)


def as_list(value):
    return value if isinstance(value, list) else next(item for item in value.values() if isinstance(item, list))


if __name__ == "__main__":
    unittest.main()
