"""Starts a daemon for a test, deploys functions that the test writes inline, calls them, and sees that nothing is left at the end.

Each test has its own daemon: own port, own state folder, own temp folder. So test files run at the same time.
Environment: HEARTH_BIN (default build/release/hearth), HEARTH_TEST_SCALE (default 0.05; 1 = the full numbers).
"""
import ctypes
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEARTH = pathlib.Path(os.environ.get("HEARTH_BIN", ROOT / "build/release/hearth"))
LOAD = pathlib.Path(os.environ.get("HEARTH_LOAD", ROOT / "build/tools/hearth_load"))
SCALE = float(os.environ.get("HEARTH_TEST_SCALE", "0.05"))
IS_ROOT = os.geteuid() == 0
# A sanitized engine is several times slower, and a shared machine has slow phases: patience costs nothing when all is well.
PATIENCE = float(os.environ.get("HEARTH_TEST_PATIENCE", "1"))
NOBODY = 65534

# Exit codes of the command line, as `hearth --help` lists them.
EXIT = {"ok": 0, "function_error": 1, "usage": 2, "refused": 3, "unreachable": 3, "timeout": 4, "busy": 5}

INVOKE = "/2015-03-31/functions/{}/invocations"

PR_SET_CHILD_SUBREAPER = 36


def scaled(full, least=1):
    """A number of rounds or seconds: `full` at scale 1, never below `least`."""
    return max(least, int(full * SCALE))


def wait_until(condition, what, timeout=10.0):
    """Polls until condition() is true and returns its value; fails with `what` after `timeout` seconds."""
    deadline = time.monotonic() + timeout * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout * PATIENCE:.0f} s for: {what}")
        time.sleep(0.02)


class Reply:
    """An HTTP reply: status, headers (lower-case names; the last one of a name), all header pairs, body."""

    def __init__(self, response):
        self.status = response.status
        self.pairs = [(name.lower(), value) for name, value in response.getheaders()]
        self.headers = dict(self.pairs)
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def all(self, name):
        return [value for key, value in self.pairs if key == name]

    def __repr__(self):
        return f"Reply({self.status}, {self.headers}, {self.body[:400]!r})"


# --- processes ---------------------------------------------------------------------------------------------------------

def stat_of(pid):
    """(state, parent's pid, start time, command name) of a process, or None."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    name = text[text.index("(") + 1:text.rindex(")")]
    rest = text[text.rindex(")") + 2:].split()
    return rest[0], int(rest[1]), int(rest[19]), name


def descendants(pid):
    """{pid: start time} of every process below `pid`; zombies do not count."""
    children = {}
    table = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            stat = stat_of(entry)
            if stat and stat[0] != "Z":
                table[int(entry)] = stat
                children.setdefault(stat[1], []).append(int(entry))
    found, front = {}, [pid]
    while front:
        for child in children.get(front.pop(), []):
            found[child] = table[child][2]
            front.append(child)
    return found


def still_alive(processes):
    """Those of {pid: start time} that live on (the same process, not a later one with its number)."""
    alive = {}
    for pid, started in processes.items():
        stat = stat_of(pid)
        if stat and stat[0] not in "ZX" and stat[2] == started:
            alive[pid] = stat[3]
    return alive


def command_line(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def rss_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def user_mode_problem():
    """Why this machine can't run user mode (namespaces of a plain user), or None."""
    as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if IS_ROOT else []
    done = subprocess.run([*as_nobody, "unshare", "-Ur", "true"], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else "plain users get no user namespaces here: " + done.stderr.strip()


def become_subreaper():
    """Orphans of a daemon become our children, so that none of them escapes the check at the end."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


# --- the daemon --------------------------------------------------------------------------------------------------------

class Daemon:
    """One `hearth serve`. With user=True it runs as nobody, so its sandbox is in user mode."""

    def __init__(self, config=None, user=False, sandbox=None, arguments=(), state=None, work=None, listen="127.0.0.1:0"):
        become_subreaper()
        self.user = user
        self.process = None
        self.port = None
        self.own_work = work is None
        # Degraded functions may write to /tmp, so no state may lie there.
        self.work = pathlib.Path(work or tempfile.mkdtemp(prefix="hearth-test-", dir="/var/tmp" if sandbox == "degraded" else None))
        try:
            self._prepare(config, state, listen, sandbox, arguments)
        except BaseException:
            self.remove()
            raise

    def _prepare(self, config, state, listen, sandbox, arguments):
        self.work.chmod(0o711)  # the daemon gives up root and must reach its state folder below
        self.state = pathlib.Path(state or self.work / "state")
        self.tmp = self.work / "tmp"
        self.tmp.mkdir(exist_ok=True)
        self.tmp.chmod(0o1777)
        self.binary = HEARTH
        if self.user:
            self._prepare_for_user()
        self.config = self.work / "hearth.yaml"
        self.config.write_text(json.dumps(config or {}))  # JSON is YAML
        self.config.chmod(0o644)
        self.command = [str(self.binary), "serve", "--config", str(self.config), "--state", str(self.state), "--listen", listen]
        if sandbox:
            self.command += ["--sandbox", sandbox]
        self.command += arguments
        if self.user and IS_ROOT:
            self.command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *self.command]
        self.log_path = self.work / "daemon.log"

    def _prepare_for_user(self):
        self.binary = self.work / "hearth"
        if not self.binary.exists():
            shutil.copy(HEARTH, self.binary)
            self.binary.chmod(0o755)
        self.state.mkdir(mode=0o700, exist_ok=True)
        if IS_ROOT:
            os.chown(self.state, NOBODY, NOBODY)

    def environment(self):
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.work), "TMPDIR": str(self.tmp), "LANG": "C.UTF-8",
                "HEARTH_TEST_SECRET": "what no function may see",
                **{key: value for key, value in os.environ.items() if key.endswith("SAN_OPTIONS")}}

    def spawn(self):
        """Starts the process and does not wait for it to be ready."""
        address = self.state / "listen"
        if address.exists():
            address.unlink()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment(),
                                            cwd="/")
        return self

    def start(self):
        self.spawn()
        address = self.state / "listen"

        def listening():
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon exited with {self.process.returncode}:\n{self.log()}")
            return address.exists() and address.read_text().strip()

        text = wait_until(listening, "the daemon's address", 30)
        self.port = int(text.splitlines()[0].rsplit(":", 1)[1])
        wait_until(self.is_ready, "/readyz", 60)
        return self

    def is_ready(self):
        try:
            return self.request("GET", "/readyz", timeout=2).status == 200
        except OSError:
            return False

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def spawner_pid(self):
        """The daemon's oldest child: it has others for moments, which unpack archives, and process numbers begin again at some time."""
        children = [(started, pid) for pid, started in descendants(self.pid).items() if (stat := stat_of(pid)) and stat[1] == self.pid]
        return min(children)[1] if children else None

    def worker_pids(self):
        """Every process below the spawner that runs an interpreter or a function's own executable for a sandbox: below its init, not
        the spawner's own child, as the generic zygote is."""
        spawner = self.spawner_pid()
        found = {pid: stat_of(pid) for pid in (descendants(spawner) if spawner else {}) if not descendants(pid)}
        return [pid for pid, stat in found.items() if stat and stat[1] != spawner]

    # --- calls

    def request(self, method, path, body=None, headers=None, timeout=30.0):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * PATIENCE)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def invoke(self, name, event=None, headers=None, timeout=30.0):
        return self.request("POST", INVOKE.format(name), body=json.dumps(event if event is not None else {}), headers=headers,
                            timeout=timeout)

    def connect(self, timeout=10.0):
        return socket.create_connection(("127.0.0.1", self.port), timeout=timeout * PATIENCE)

    def raw(self, data, timeout=10.0):
        """Sends bytes, then reads to the end of the connection, or until nothing came for `timeout` seconds."""
        with self.connect(timeout) as peer:
            try:
                peer.sendall(data)
            except OSError:
                pass  # an early refusal closes the connection; what it said is still to be read
            got = b""
            try:
                while True:
                    part = peer.recv(65536)
                    if not part:
                        return got
                    got += part
            except OSError:
                return got

    def metrics(self):
        """{name with labels: value} of /metrics."""
        values = {}
        for line in self.request("GET", "/metrics").text.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                values[name] = float(value)
        return values

    # --- the command line

    def cli(self, *arguments, check=None, server=True, timeout=60, env=None):
        """Runs `hearth ARGUMENTS`; check: the exit code that is expected."""
        command = [str(HEARTH), *map(str, arguments)]
        if server:
            command += ["--server", self.url]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout * PATIENCE,
                              env={**self.environment(), **(env or {})}, check=False)
        if check is not None and done.returncode != check:
            raise AssertionError(f"{' '.join(command)}: exit {done.returncode}, not {check}\n{done.stdout}\n{done.stderr}")
        return done

    def folder(self, name, files, manifest=None):
        """Writes a function's folder; manifest is the text of function.yaml."""
        folder = self.work / "functions" / name
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        if manifest is not None:
            files = {**files, "function.yaml": manifest}
        for path, content in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
            if isinstance(content, bytes) and content.startswith(b"\x7fELF"):
                target.chmod(0o755)
        return folder

    def deploy(self, name, files, manifest=None):
        return self.cli("deploy", self.folder(name, files, manifest), check=0)

    def python(self, name, code, manifest=None):
        """Deploys a Python function whose app.py is `code`."""
        return self.deploy(name, {"app.py": code}, manifest)

    def node(self, name, code, manifest=None, file="index.cjs"):
        return self.deploy(name, {file: code}, manifest)

    # --- the end

    def stop(self, signal_number=signal.SIGTERM, timeout=20.0):
        """Sends the signal (None: somebody else did), waits for the exit code, and checks that nothing is left."""
        if self.process is None:
            return None
        below = descendants(self.pid)
        if signal_number is not None and self.process.poll() is None:
            self.process.send_signal(signal_number)
        try:
            code = self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the daemon did not end within {timeout:.0f} s:\n{self.log()[-3000:]}") from None
        self.process = None
        self.check_nothing_left(below)
        return code

    def check_nothing_left(self, below):
        wait_until(lambda: not still_alive(below), f"the end of {still_alive(below)}", 5)
        orphans = {pid: command_line(pid) for pid in descendants(os.getpid()) if str(self.state) in command_line(pid)}
        if orphans:
            raise AssertionError(f"processes are left: {orphans}")
        with open("/proc/self/mounts", encoding="utf-8") as mounts:
            left = [line for line in mounts if str(self.work) in line]
        if left:
            raise AssertionError(f"mounts are left: {left}")
        with open("/proc/net/unix", encoding="utf-8") as sockets:
            left = [line for line in sockets if str(self.work) in line]
        if left:
            raise AssertionError(f"sockets are left: {left}")
        left = os.listdir(self.tmp)
        if left:
            raise AssertionError(f"files are left in the temp folder: {left}")
        if self.port:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    raise AssertionError("somebody still listens on the daemon's port")

    def end(self):
        """Whatever state it is in: afterwards there is no process and no folder. Checks nothing."""
        if self.process is not None:
            below = descendants(self.pid)
            self.process.kill()
            self.process.wait()
            self.process = None
            wait_until(lambda: not still_alive(below), f"the end of {still_alive(below)}", 5)
        self.remove()

    def remove(self):
        if self.own_work:
            shutil.rmtree(self.work, ignore_errors=True)


class DaemonTest(unittest.TestCase):
    """One daemon for all tests of the class; `config`, `user` and `sandbox` say how it runs."""

    config = {}
    user = False
    sandbox = None
    shared = True  # False: each test starts its own
    daemon = None
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        if not HEARTH.exists():
            raise unittest.SkipTest(f"{HEARTH} is not built")
        if not cls.shared:
            return
        if cls.user and user_mode_problem():
            raise unittest.SkipTest(user_mode_problem())
        cls.daemon = Daemon(cls.config, user=cls.user, sandbox=cls.sandbox)
        cls.addClassCleanup(cls.daemon.end)  # runs too when what follows fails, and when tearDownClass does
        try:
            cls.daemon.start()
            cls.deploy_functions()
        except BaseException:
            print(cls.daemon.log()[-4000:], file=sys.stderr)
            raise

    @classmethod
    def deploy_functions(cls):
        """Functions that several tests of the class call."""

    @classmethod
    def tearDownClass(cls):
        if cls.daemon is None or cls.daemon.process is None:
            return
        code = cls.daemon.process.poll()
        if code is not None:
            raise AssertionError(f"the daemon ended by itself with {code}:\n{cls.daemon.log()[-4000:]}")
        code = cls.daemon.stop()
        if code != 0:
            raise AssertionError(f"the daemon exited with {code} after SIGTERM:\n{cls.daemon.log()[-4000:]}")

    def own_daemon(self, *args, start=True, **kwargs):
        """A further daemon, for this test only. Its end is checked unless the test stops it itself."""
        daemon = Daemon(*args, **kwargs)
        self.addCleanup(daemon.end)
        self.addCleanup(daemon.stop)
        return daemon.start() if start else daemon

    def assert_function_error(self, reply, error_type, message_part=""):
        self.assertEqual(reply.status, 200, reply)
        self.assertEqual(reply.headers.get("x-amz-function-error"), "Unhandled", reply)
        body = reply.json()
        self.assertEqual(body.get("errorType"), error_type, reply)
        self.assertIn(message_part, body.get("errorMessage", ""), reply)

    def assert_refused(self, reply, status, error_type=None):
        self.assertEqual(reply.status, status, reply)
        self.assertTrue(reply.headers.get("x-amzn-errortype"), reply)
        if error_type:
            self.assertEqual(reply.headers["x-amzn-errortype"].split(":")[0], error_type, reply)


def load(port, calls=0, seconds=0, connections=64, kinds=(), timeout_ms=30000, patience_ms=0, seed=1):
    """Starts the load client; .communicate() of what is returned gives its JSON. kinds: (name, weight, path, body, expect)."""
    command = [str(LOAD), "--port", str(port), "--connections", str(connections), "--timeout-ms", str(int(timeout_ms * PATIENCE)),
               "--patience-ms", str(patience_ms), "--seed", str(seed)]
    if calls:
        command += ["--calls", str(calls)]
    if seconds:
        command += ["--seconds", str(seconds)]
    for name, weight, path, body, expect in kinds:
        command += ["--call", name, str(weight), path, body, expect]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def load_result(process, timeout=600):
    out, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0, f"the load client could not account for every call: {out}"
    return json.loads(out)
