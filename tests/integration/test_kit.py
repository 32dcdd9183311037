"""Templates, sample events, completions, the manual page, doctor, and the errors of the command line.

Each template is made, tested by its language's own tools, deployed and called. Completions are typed into the real shells.
"""
import json
import os
import pathlib
import pty
import re
import select
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

from harness import EXIT, HEARTH, IS_ROOT, NOBODY, PATIENCE, DaemonTest, user_mode_problem

TEMPLATES = ("http-python", "http-node", "http-c", "event-python", "event-node", "event-c")
EVENTS = ("api-gateway-v2", "api-gateway-v1", "kafka", "s3", "sqs", "scheduled", "cloudevent")
# The tools of a language, and no other: what a user of it has anyway.
TESTS = {"python": ["/usr/bin/python3", "-B", "-m", "unittest"], "node": ["/usr/bin/node", "--test"], "c": ["make", "test"]}
ECHO = "import json\ndef handler(event, context):\n    return {'statusCode': 200, 'body': json.dumps(event)}\n"


def hearth(*arguments, stdin="", cwd=None, env=None, command=(str(HEARTH),), timeout=60):
    return subprocess.run([*command, *map(str, arguments)], input=stdin, capture_output=True, text=True, cwd=cwd, timeout=timeout * PATIENCE,
                          env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8", **(env or {})}, check=False)


def event(*arguments):
    done = hearth("event", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Templates(DaemonTest):
    def made(self, template):
        folder = self.daemon.work / "made" / f"my_{template}"
        done = hearth("new", template, folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        return folder, done.stdout

    def check(self, template):
        folder, said = self.made(template)
        language = template.split("-")[1]
        if language == "c":
            subprocess.run(["make", "-C", str(folder)], check=True, capture_output=True, timeout=120 * PATIENCE)
        done = subprocess.run(TESTS[language], cwd=folder, capture_output=True, text=True, timeout=120 * PATIENCE, check=False,
                              env={"PATH": "/usr/bin:/bin"})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.daemon.cli("deploy", folder, check=0)
        name = f"my_{template}"
        self.assertIn(f"hearth deploy {folder}", said)
        return name, folder, said

    def check_http(self, template):
        name, folder, said = self.check(template)
        address = re.search(r"curl 'http://[^/]*(/[^']*)'", said).group(1)
        reply = self.daemon.request("GET", address)
        self.assertEqual((reply.status, "Hello you" in reply.text), (200, True), reply)
        self.assertEqual(self.daemon.request("GET", f"/fn/{name}/nowhere").status, 404)
        got = json.loads(self.daemon.cli("invoke", name, "--data", f"@{folder}/event.json", check=0).stdout)
        self.assertIn("Hello world", got["body"])

    def check_event(self, template):
        name, folder, said = self.check(template)
        self.assertIn(f"hearth invoke {name} --data @{folder}/event.json", said)
        got = json.loads(self.daemon.cli("invoke", name, "--data", f"@{folder}/event.json", check=0).stdout)
        self.assertEqual(got, {"order": "A-17", "accepted": True})
        made = hearth("event", "cloudevent", "--data", '{"order": "B-2"}').stdout
        piped = hearth("invoke", name, "--data", "-", "--server", self.daemon.url, stdin=made)
        self.assertEqual(json.loads(piped.stdout), {"order": "B-2", "accepted": True}, piped.stderr)
        failed = self.daemon.cli("invoke", name, "--data", "{}", check=EXIT["function_error"])
        self.assertIn("data.order", failed.stderr)
        self.assertIn("A-17", self.daemon.cli("logs", name, check=0).stdout)

    def test_http_python(self):
        self.check_http("http-python")

    def test_http_node(self):
        self.check_http("http-node")

    def test_http_c(self):
        self.check_http("http-c")

    def test_event_python(self):
        self.check_event("event-python")

    def test_event_node(self):
        self.check_event("event-node")

    def test_event_c(self):
        self.check_event("event-c")

    def test_the_list_has_each_with_one_line(self):
        lines = hearth("new", "--list").stdout.splitlines()
        self.assertEqual([line.split()[0] for line in lines[1:]], list(TEMPLATES))
        listed = json.loads(hearth("new", "--list", "--json").stdout)
        self.assertEqual([entry["name"] for entry in listed], list(TEMPLATES))

    def test_the_folder_that_one_stands_in(self):
        folder = self.daemon.work / "here"
        folder.mkdir()
        done = hearth("new", "event-python", ".", cwd=folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("name: here", (folder / "function.yaml").read_text())
        again = hearth("new", "event-node", ".", cwd=folder)
        self.assertEqual(again.returncode, EXIT["usage"])
        self.assertFalse((folder / "index.mjs").exists())


class Events(DaemonTest):
    @classmethod
    def deploy_functions(cls):
        cls.daemon.python("hello", ECHO)

    def request_event(self, sample, body=b""):
        """The event that a function's URL makes of the request that `sample` stands for."""
        headers = {name: value for name, value in sample["headers"].items() if not name.startswith("x-forwarded")}
        headers["host"] = f"127.0.0.1:{self.daemon.port}"
        if sample.get("cookies"):
            headers["cookie"] = "; ".join(sample["cookies"])
        query = "?" + sample["rawQueryString"] if sample["rawQueryString"] else ""
        head = f"{sample['requestContext']['http']['method']} /fn/hello{sample['rawPath']}{query} HTTP/1.1\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items()) + "connection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.daemon.port), timeout=20 * PATIENCE) as peer:
            peer.sendall(head.encode() + body)
            got = b""
            while part := peer.recv(65536):
                got += part
        real = json.loads(got.split(b"\r\n\r\n", 1)[1])
        real["headers"].pop("connection")
        return real

    def check_same(self, *options, body=b""):
        sample = event("api-gateway-v2", *options)
        real = self.request_event(sample, body)
        self.assertEqual(list(sample), list(real))
        for own in (sample, real):
            for key in ("requestId", "time", "timeEpoch"):
                own["requestContext"][key] = type(own["requestContext"][key]).__name__
            own["headers"]["host"] = own["headers"]["x-forwarded-port"] = "port"
        self.assertEqual(sample, real)

    def test_api_gateway_v2_is_what_a_url_sends(self):
        self.check_same()
        self.check_same("--query", "a=1&b=two%20words&a=3", "--path", "/a%20b/c")
        self.check_same("--query", "", "--method", "delete")
        self.check_same("--body", '{"n": 1}', body=b'{"n": 1}')
        self.check_same("--body", "plain words", "--method", "PUT", body=b"plain words")

    def test_a_binary_body_too(self):
        body = bytes(range(256))
        with tempfile.NamedTemporaryFile() as file:
            file.write(body)
            file.flush()
            self.check_same("--body", f"@{file.name}", body=body)

    def test_each_reaches_a_function_unchanged(self):
        for name in EVENTS:
            with self.subTest(name):
                text = hearth("event", name).stdout
                done = hearth("invoke", "hello", "--data", "-", "--server", self.daemon.url, stdin=text)
                self.assertEqual(json.loads(json.loads(done.stdout)["body"]), json.loads(text), done.stderr)

    def test_the_list(self):
        listed = json.loads(hearth("event", "--list", "--json").stdout)
        self.assertEqual([entry["name"] for entry in listed], list(EVENTS))
        self.assertEqual(listed[0]["options"], ["--method", "--path", "--query", "--body"])

    def test_standard_input_as_the_message(self):
        done = hearth("event", "sqs", "--message", "-", stdin="from a pipe")
        self.assertEqual(json.loads(done.stdout)["Records"][0]["body"], "from a pipe")


class Shell:
    """A shell on a pseudo-terminal. `tab(line)` types a line and asks for its completions; what the shell shows is returned."""

    def __init__(self, command, folder):
        env = {"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder), "TERM": "dumb", "LANG": "C.UTF-8", "COLUMNS": "200"}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(command[0], command, env)

    def read(self, mark, timeout=20.0):
        """Everything up to `mark`."""
        deadline = time.monotonic() + timeout * PATIENCE
        got = ""
        while not re.search(mark, got):
            ready, _, _ = select.select([self.fd], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError(f"no {mark!r} in {got!r}")
            got += os.read(self.fd, 65536).decode("utf-8", "replace")
        return got

    def run(self, line):
        """Runs a line that sets the prompt READY, and waits for it: the shell reads keys from then on."""
        os.write(self.fd, f"{line}; printf 'DO%s\\n' NE\n".encode())
        return self.read("DONE\r\n(.|\r|\n)*READY> ")

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def end(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


# What is typed, and words that have to be offered. SERVER stands for a daemon with the function `greeter`.
COMPLETIONS = (
    ("hearth ", ("new", "event", "serve", "deploy", "completion")),
    ("hearth new http-", ("http-c", "http-node", "http-python")),
    ("hearth new http-c ", ("folder_one", "folder_two")),
    ("hearth deploy fold", ("folder_one", "folder_two")),
    ("hearth event ka", ("kafka",)),
    ("hearth serve --s", ("--sandbox", "--state")),
    ("hearth serve --sandbox ", ("strict", "degraded")),
    ("hearth invoke --server SERVER ", ("greeter", "grinder")),
    ("hearth logs gr", ("greeter", "grinder")),
    ("hearth help ev", ("event",)),
)


class Completions(DaemonTest):
    @classmethod
    def deploy_functions(cls):
        cls.daemon.python("greeter", ECHO)
        cls.daemon.python("grinder", ECHO)
        cls.folder = cls.daemon.work / "shell"
        for name in ("folder_one", "folder_two"):
            (cls.folder / name).mkdir(parents=True)
        (cls.folder / "file_one").touch()
        (cls.folder / "hearth").symlink_to(HEARTH)

    def shell(self, program, *options):
        if shutil.which(program) is None:
            raise unittest.SkipTest(f"{program} is not installed: apt-get install {program}")
        shell = Shell([program, *options], self.folder)
        self.addCleanup(shell.end)
        return shell

    def cases(self):
        for line, words in COMPLETIONS:
            yield line.replace("SERVER", self.daemon.url), words

    def test_bash(self):
        shell = self.shell("bash", "--norc", "--noprofile", "-i")
        shell.run(f"export HEARTH_SERVER={self.daemon.url} PS1='READY> '; source <(hearth completion bash)")
        for line, words in self.cases():
            with self.subTest(line):
                # Meta-* puts every completion on the line; the line is then printed instead of run.
                shell.type(f"{line}\x1b*\x01printf '<%s>' \x05; printf 'DO%s\\n' NE\n")
                offered = re.findall("<([^<>]*)>", shell.read("DONE\r\n").split("\n")[-2])
                self.assertLessEqual(set(words), set(offered), offered)
                self.assertNotIn("file_one", offered)

    def test_bash_completes_files_behind_an_at(self):
        shell = self.shell("bash", "--norc", "--noprofile", "-i")
        shell.run("export PS1='READY> '; source <(hearth completion bash)")
        shell.type("hearth invoke greeter --data @file_\x1b*\x01printf '<%s>' \x05; printf 'DO%s\\n' NE\n")
        self.assertIn("<@file_one>", shell.read("DONE\r\n"))

    def test_zsh(self):
        shell = self.shell("zsh", "-f", "-i")
        shell.run(f"export HEARTH_SERVER={self.daemon.url}; LISTMAX=0; unsetopt list_beep zle_bracketed_paste 2>/dev/null; "
                  "autoload -U compinit; compinit -u -D; source <(hearth completion zsh); PS1='READY> '")
        for line, words in self.cases():
            with self.subTest(line):
                # Control-D lists the completions and shows the line again; control-U clears it.
                shell.type(line + "\x04")
                try:
                    shown = shell.read("\r\n(.|\r|\n)*READY> " + re.escape(line[:20]))
                finally:
                    shell.type("\x15")
                for word in words:
                    self.assertRegex(shown, rf"(^|\s){re.escape(word)}/?(\s|$)")

    def test_zsh_from_a_folder_of_completions(self):
        shell = self.shell("zsh", "-f", "-i")
        target = self.folder / "site"
        target.mkdir()
        (target / "_hearth").write_text(hearth("completion", "zsh").stdout)
        shell.run(f"fpath=({target} $fpath); LISTMAX=0; unsetopt list_beep; autoload -U compinit; compinit -u -D; PS1='READY> '")
        shell.type("hearth new http-\x04")
        self.assertRegex(shell.read("http-python(.|\r|\n)*READY> "), "http-node")

    def test_fish(self):
        if shutil.which("fish") is None:
            raise unittest.SkipTest("fish is not installed: apt-get install fish")
        script = self.folder / "hearth.fish"
        script.write_text(hearth("completion", "fish").stdout)
        for line, words in self.cases():
            with self.subTest(line):
                done = subprocess.run(["fish", "--no-config", "-c", f"source {script}; complete -C'{line}'"], capture_output=True, text=True,
                                      cwd=self.folder, timeout=30 * PATIENCE, check=False, stdin=subprocess.DEVNULL,
                                      env={"PATH": f"{self.folder}:/usr/bin:/bin", "HOME": str(self.folder), "HEARTH_SERVER": self.daemon.url})
                offered = {entry.split("\t")[0].rstrip("/") for entry in done.stdout.splitlines()}
                self.assertLessEqual(set(words), offered, done.stderr)
                self.assertNotIn("file_one", offered)
                self.assertEqual(done.stderr, "")

    def test_quiet_without_a_daemon(self):
        done = hearth("completion", "--names", "functions", "--server", "http://127.0.0.1:1")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))


class Manual(unittest.TestCase):
    def test_the_page_is_well_formed(self):
        page = hearth("help", "--man").stdout
        if shutil.which("groff") is None:
            raise unittest.SkipTest("groff is not installed: apt-get install groff-base")
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-rLL=200n"], input=page, capture_output=True, text=True, check=False)
        self.assertEqual(done.stderr, "")
        shown = re.sub("\x1b\\[[0-9;]*m|.\x08", "", done.stdout)  # without what makes it bold
        for command in re.findall(r"(?m)^  ([a-z]+)   ", hearth("--help").stdout):
            self.assertIn(f"hearth {command}", shown)
            for option in re.findall(r"(?m)^  (?:-\w,)?(--[\w-]+)", hearth(command, "--help").stdout):
                self.assertIn(option, shown, command)
        self.assertIn("hearth invoke hello --data '{\"name\": \"you\"}'", shown)

    def test_the_build_has_written_it(self):
        built = HEARTH.parent / "share/hearth.1"
        if not built.exists():
            raise unittest.SkipTest(f"{built} was not built: the target is hearth_share")
        self.assertEqual(built.read_text(), hearth("help", "--man").stdout)


# Runs its arguments as nobody in a user namespace of its own, in which no further one may be made.
NO_USER_NAMESPACES = r"""
import ctypes, os, sys
here, there = os.pipe(), os.pipe()
pid = os.fork()
if pid == 0:
    if ctypes.CDLL(None).unshare(0x10000000) != 0:
        os._exit(99)
    os.write(here[1], b"x")
    os.read(there[0], 1)
    os.setgid(0)
    os.setuid(0)
    open("/proc/sys/user/max_user_namespaces", "w").write("0")
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    os.execv(sys.argv[1], sys.argv[1:])
os.read(here[0], 1)
for name in ("uid_map", "gid_map"):
    open(f"/proc/{pid}/{name}", "w").write("0 0 100000\n")
os.write(there[1], b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@unittest.skipUnless(IS_ROOT, "only root can become the users that this looks at")
class Doctor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.work = pathlib.Path(tempfile.mkdtemp(prefix="hearth-test-"))
        cls.work.chmod(0o755)
        cls.binary = cls.work / "hearth"
        shutil.copy(HEARTH, cls.binary)
        cls.binary.chmod(0o755)
        cls.degraded = cls.work / "hearth.yaml"
        cls.degraded.write_text("sandbox:\n  allow_degraded: true\n")
        cls.degraded.chmod(0o644)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.work)

    def doctor(self, *arguments, before=()):
        return hearth("doctor", "--server", "http://127.0.0.1:1", *arguments, command=(*before, str(self.binary)), timeout=90)

    def as_nobody(self, *arguments):
        if user_mode_problem():
            raise unittest.SkipTest(user_mode_problem())
        return self.doctor(*arguments, before=("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"))

    def without_namespaces(self, *arguments):
        done = self.doctor(*arguments, before=("/usr/bin/python3", "-c", NO_USER_NAMESPACES))
        if done.returncode == 99 or "max_user_namespaces" in done.stderr:
            raise unittest.SkipTest("no user namespace can be made here in which others are forbidden")
        return done

    def test_root_has_every_layer(self):
        done = self.doctor()
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout.splitlines()[-1], "^ready: sandbox mode strict, functions in python3, nodejs, native, custom$")
        missing = json.loads(self.doctor("--json").stdout)["missing"]
        # Shares of I/O need cgroup version 2; nothing is refused for want of them.
        self.assertLessEqual({(layer["name"], layer["fatal"]) for layer in missing}, {("cgroup: io", False)})

    def test_nobody_lacks_a_uid_of_its_own_and_is_told_how_to_get_it(self):
        done = self.as_nobody()
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r"(?s)what is missing, and the fix\n  uid of its own\n    why .*    without it .*    type +sudo hearth serve\n")
        self.assertTrue(done.stdout.splitlines()[-1].startswith("ready: sandbox mode user"), done.stdout)

    def test_without_user_namespaces_it_is_not_ready_and_the_command_is_there(self):
        done = self.without_namespaces()
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("sudo sysctl -w user.max_user_namespaces=", done.stdout)
        self.assertIn("sandbox: {allow_degraded: true}", done.stdout)
        self.assertEqual(done.stdout.splitlines()[-1], "not ready: no sandbox mode: user namespaces are off: user.max_user_namespaces is 0")
        facts = json.loads(self.without_namespaces("--json").stdout)
        self.assertEqual((facts["ready"], facts["mode"], facts["missing"][0]["fatal"]), (False, None, True))

    def test_degraded_explains_each_layer(self):
        done = self.without_namespaces("--config", self.degraded)
        self.assertEqual(done.returncode, 0, done.stdout)
        for layer in ("pid namespace", "network namespace", "read-only root", "private /tmp", "uid of its own"):
            self.assertRegex(done.stdout, rf"(?s)what is missing.*{layer}")
        self.assertIn("a function reaches the network", done.stdout)
        self.assertTrue(done.stdout.splitlines()[-1].startswith("ready: sandbox mode degraded"), done.stdout)


class Errors(unittest.TestCase):
    """Each says what happened and what to do; most say why."""

    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="hearth-test-"))
        self.addCleanup(shutil.rmtree, self.work)

    def check(self, arguments, code, what, why, todo):
        done = hearth(*arguments, cwd=self.work, env={"HEARTH_SERVER": "http://127.0.0.1:1"})
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        parts = dict(re.findall(r"(?m)^ *(hearth|why|try): (.*)$", done.stderr))
        for key, words in (("hearth", what), ("why", why), ("try", todo)):
            self.assertIn(words, parts.get(key, ""), done.stderr)
        self.assertIn("try", parts, done.stderr)

    def test_the_command_line(self):
        for arguments, what, why, todo in (
            ((), "no command", "", "hearth help"),
            (("lst",), "'lst' is not a command", "", "`hearth list`"),
            (("help", "servr"), "'servr'", "", "`hearth serve`"),
            (("--jsn",), "--jsn", "", "hearth help"),
            (("list", "--jsn"), "no option --jsn", "", "`--json`"),
            (("list", "--servr=x"), "no option --servr", "", "`--server`"),
            (("invoke",), "required", "hearth invoke FUNCTION", "hearth invoke --help"),
            (("invoke", "f", "--data"), "--data", "hearth invoke [FUNCTION]", "hearth invoke --help"),
            (("invoke", "f", "too"), "'too' is one argument too many", "hearth invoke [FUNCTION]", "quotes"),
            (("invoke", "a/b"), "'a/b'", "1 to 64 letters", "hearth list"),
            (("invoke", "f", "--wait", "soon"), "'soon'", "", "500ms"),
            (("invoke", "f", "--data", '{"a": x}'), "not JSON", "line 1, column", "--data @FILE"),
            (("invoke", "f", "--data", "@gone.json"), "event", "gone.json", "@FILE"),
            (("list", "--server", "ftp://x"), "'ftp://x'", "http://", "http://127.0.0.1:4327"),
            (("serve", "--sandbox", "strickt"), "'strickt'", "", "hearth doctor"),
            (("doctor", "--config", "gone.yaml"), "configuration", "gone.yaml", "--config"),
            (("doctor", "--server", "x"), "'x'", "http://", "http://"),
            (("new", "http-pyton", "x"), "'http-pyton'", "", "`http-python`"),
            (("new",), "no template", "", "hearth new --list"),
            (("new", "http-c", "my.fn"), "'my.fn'", "letters, digits", "hearth new http-c my-fn"),
            (("event", "kafak"), "'kafak'", "", "hearth event kafka"),
            (("event", "s3", "--topic", "x"), "the event s3", "--bucket, --key", "hearth event --list"),
            (("completion", "fiish"), "'fiish'", "", "hearth completion fish"),
        ):
            with self.subTest(arguments):
                self.check(arguments, EXIT["usage"], what, why, todo)

    def test_no_daemon_at_the_address(self):
        for arguments in (("list",), ("invoke", "f"), ("delete", "f"), ("logs", "f")):
            with self.subTest(arguments):
                self.check(arguments, EXIT["unreachable"], "no answer from http://127.0.0.1:1", "refused", "`hearth serve`")

    def test_folders_that_are_no_functions(self):
        (self.work / "empty").mkdir()
        (self.work / "file").touch()
        (self.work / "bad").mkdir()
        (self.work / "bad/function.yaml").write_text("runtime: pyton\n")
        (self.work / "unbuilt").mkdir()
        (self.work / "unbuilt/function.yaml").write_text("runtime: native\nhandler: app\n")
        (self.work / "unbuilt/Makefile").touch()
        for folder, why, todo in (("gone", "No such file", "hearth new TEMPLATE DIR"), ("file", "not a folder", "name the folder"),
                                  ("empty", "app.py", "hearth new"), ("bad", "function.yaml:1: runtime: 'pyton'", "correct bad/function.yaml"),
                                  ("unbuilt", "app' is not there", "make -C unbuilt")):
            with self.subTest(folder):
                self.check(("deploy", folder), EXIT["usage"], f"can't deploy {folder}", why, todo)

    def test_a_daemon_that_can_not_serve(self):
        (self.work / "bad.yaml").write_text("listn: 1\n")
        for arguments, code, why, todo in (
            (("--config", "gone.yaml"), 78, "gone.yaml", "hearth serve --help"),
            (("--config", "bad.yaml"), 78, "bad.yaml:1: unknown key 'listn'", "hearth serve --help"),
            (("--listen", "0.0.0.0:1", "--state", "s"), 78, "loopback", "http.functions_listen"),
            (("--sandbox", "off", "--state", "s"), 78, "--i-know-this-is-unsafe", "hearth serve --help"),
            (("--state", "/proc/hearth"), 1, "/proc/hearth", "--state DIR"),
        ):
            with self.subTest(arguments):
                self.check(("serve", *arguments), code, "can't serve", why, todo)


class ErrorsOfADaemon(DaemonTest):
    @classmethod
    def deploy_functions(cls):
        cls.daemon.python("greeter", "def handler(event, context):\n    raise KeyError('no such thing')\n")

    def test_a_function_that_is_not_there_names_the_one_that_was_meant(self):
        for command in ("invoke", "delete", "logs"):
            with self.subTest(command):
                done = self.daemon.cli(command, "greter", check=EXIT["refused"])
                self.assertIn("there is no function 'greter'", done.stderr)
                self.assertIn("did you mean 'greeter'?", done.stderr)
                self.assertNotIn("did you mean", self.daemon.cli(command, "somebody", check=EXIT["refused"]).stderr)

    def test_a_function_that_fails_says_why(self):
        done = self.daemon.cli("invoke", "greeter", check=EXIT["function_error"])
        self.assertIn("greeter failed: KeyError", done.stderr)
        self.assertIn("why: 'no such thing'", done.stderr)
        self.assertIn("hearth logs greeter --request ", done.stderr)


if __name__ == "__main__":
    unittest.main()
