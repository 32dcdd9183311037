"""The daemon that the cases of one mode share, the neighbour that must keep answering right, and the picture of the machine before and after."""
import hashlib
import itertools
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))
from harness import IS_ROOT, PATIENCE, ROOT, Daemon, descendants  # noqa: E402

BUILD = ROOT / "build/hostile"
NEIGHBOUR = "calls = 0\ndef handler(event, context):\n    return event['n'] * 7 + 3\n"
MARK = "hearth-hostile"
PLAIN_USER = 1_600_000_000 + os.getpid()
PROCESSES_MAX = 600
INHERITED = 77  # a descriptor that a process without a sandbox inherits


def build_probe():
    """Compiles functions/probe; returns the path of the static program."""
    BUILD.mkdir(parents=True, exist_ok=True)
    out = BUILD / "probe"
    subprocess.run(["make", "-s", "-C", str(HERE / "functions/probe"), f"OUT={out}"], check=True)
    return out


def bare(probe, attempts, user=None):
    """Runs attempts in a plain process outside of any sandbox: one outcome each."""
    extra = os.open("/dev/null", os.O_RDONLY)
    os.dup2(extra, INHERITED, inheritable=True)
    prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user is not None else []
    done = subprocess.run([*prefix, str(probe), *attempts], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=120 * PATIENCE, check=False, pass_fds=(INHERITED,))
    os.close(extra)
    os.close(INHERITED)
    return done.stdout.splitlines()


class HostServices:
    """What a hostile function would like to reach: sockets of the host, TCP on all addresses and on the loopback, abstract and named."""

    def __init__(self, folder):
        self.sockets = []
        self.port = self._listen(socket.AF_INET, ("127.0.0.1", 0))[1]
        self.any_port = self._listen_everywhere()
        self.abstract = f"{MARK}-{os.getpid()}-{id(self):x}"
        self._listen(socket.AF_UNIX, "\0" + self.abstract)
        self.path = str(pathlib.Path(folder) / "named.sock")
        self._listen(socket.AF_UNIX, self.path)
        os.chmod(self.path, 0o777)
        self.host = self._own_address()
        self.running = True
        self.accepted = []
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _listen(self, family, address):
        listener = socket.socket(family, socket.SOCK_STREAM)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(address)
        listener.listen(512)
        listener.setblocking(False)
        self.sockets.append(listener)
        return listener.getsockname()

    def _listen_everywhere(self):
        try:
            return self._listen(socket.AF_INET6, ("::", 0))[1]
        except OSError:
            return self._listen(socket.AF_INET, ("0.0.0.0", 0))[1]

    @staticmethod
    def _own_address():
        """An address of the host other than a loopback one; without a network it is the loopback's second."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))
                return probe.getsockname()[0]
            except OSError:
                return "127.0.0.2"

    def _accept(self):
        while self.running:
            for listener in self.sockets:
                try:
                    peer, address = listener.accept()
                    self.accepted.append(address)
                    peer.close()
                except OSError:
                    pass
            time.sleep(0.005)

    def close(self):
        self.running = False
        self.thread.join()
        for listener in self.sockets:
            listener.close()
        pathlib.Path(self.path).unlink(missing_ok=True)


def digest(path):
    try:
        return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()[:16]
    except OSError as error:
        return error.strerror


def first_words(path):
    """Of each line; what stands behind them, how much is used, changes all the time."""
    try:
        return sorted(line.split()[0] for line in pathlib.Path(path).read_text().splitlines() if line.split())
    except OSError as error:
        return error.strerror


def listing(folder):
    try:
        return sorted(os.listdir(folder))
    except OSError as error:
        return error.strerror


class Picture:
    """What an attack could change on the machine, without what other programs change all the time."""

    SETTINGS = ("kernel/core_pattern", "kernel/hostname", "kernel/domainname", "kernel/randomize_va_space", "kernel/modprobe",
                "kernel/core_uses_pid", "kernel/dmesg_restrict", "kernel/unprivileged_bpf_disabled", "kernel/perf_event_paranoid", "kernel/sysrq",
                "kernel/pid_max", "kernel/threads-max", "net/ipv4/ip_forward", "vm/overcommit_memory", "fs/protected_symlinks", "fs/suid_dumpable",
                "user/max_user_namespaces")

    def __init__(self, work):
        """`work`: the daemon's folder. Another run at the same time may leave marks for a moment, so wait for those to go."""
        self.facts = {f"sysctl {name}": digest("/proc/sys/" + name) for name in self.SETTINGS}
        self.facts.update({f"file {path}": digest(path) for path in ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/hosts", "/etc/resolv.conf",
                                                                     "/etc/ld.so.preload")})
        self.facts.update({f"names in {path}": first_words(path) for path in ("/proc/swaps", "/proc/modules")})
        self.facts.update({f"names in {folder}": listing(folder) for folder in ("/", "/etc", "/usr", "/usr/bin", "/var", "/boot")})
        self.facts["marked files"] = [path for folder in ("/tmp", "/dev/shm", "/var/tmp", "/dev/mqueue", str(work)) for path in self.marked(folder)]
        self.facts["marked sockets"] = sorted(line.split()[-1] for line in pathlib.Path("/proc/net/unix").read_text().splitlines()
                                              if f"{MARK}-{os.getpid()}-" in line or str(work) in line)
        self.facts["shared memory of slots"] = sorted(line.split()[0] for line in pathlib.Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
                                                      if line.split()[0].startswith("1751"))
        self.facts["mounts"] = sorted(line for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()
                                      if str(work) in line or MARK in line)
        self.facts["links"] = [name for name in listing("/sys/class/net") if not name.startswith(("veth", "hrt", "h-"))]
        self.clock = time.time() - time.monotonic()

    @staticmethod
    def marked(folder):
        names = listing(folder)
        return sorted(f"{folder}/{name}" for name in names if MARK in name or name == "core" or name.startswith("core.")) \
            if isinstance(names, list) else []

    def changes(self, later):
        found = [f"{key}: {value} -> {later.facts[key]}" for key, value in self.facts.items() if later.facts[key] != value]
        if abs(self.clock - later.clock) > 2:
            found.append(f"the clock moved by {later.clock - self.clock:.1f} s")
        return found


class Neighbour:
    """Calls a function of somebody else all the time and counts what is not right."""

    def __init__(self, rig):
        self.rig = rig
        self.calls, self.wrong, self.slowest = 0, [], 0.0
        self.running = True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def call(self):
        began = time.monotonic()
        try:
            reply = self.rig.daemon.invoke("neighbour", {"n": self.calls}, timeout=20)
            if reply.status != 200 or reply.body != str(self.calls * 7 + 3).encode():
                self.wrong.append(f"call {self.calls}: {reply}")
        except OSError as error:
            self.wrong.append(f"call {self.calls}: {error}")
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.calls += 1

    def _run(self):
        while self.running:
            self.call()
            time.sleep(0.05)

    def close(self):
        self.running = False
        self.thread.join()


def daemon_in(mode, config):
    """A daemon that is not started yet. Degraded mode is that of a plain user whom nobody else is: its processes share one uid, so what
    a function can do to processes of its uid, it can do to this daemon only. The limit on processes is the user's, as a service has it."""
    if mode != "degraded":
        return Daemon(config, user=mode == "user", sandbox=mode, arguments=("--i-know-this-is-unsafe",) if mode == "off" else ())
    # Not in /tmp, which functions share with the host there: whatever lies in it is theirs too.
    work = tempfile.mkdtemp(prefix="hearth-test-", dir="/var/tmp")
    daemon = Daemon({**config, "sandbox": {"allow_degraded": True}}, user=True, sandbox=mode, work=work)
    daemon.own_work = True
    if IS_ROOT:
        user = str(PLAIN_USER)
        os.chown(daemon.state, PLAIN_USER, PLAIN_USER)
        start = daemon.command.index(str(daemon.binary))
        daemon.command = ["prlimit", f"--nproc={PROCESSES_MAX}:{PROCESSES_MAX}", "setpriv", "--reuid=" + user, "--regid=" + user, "--clear-groups",
                          *daemon.command[start:]]
    return daemon


class Rig:
    """One daemon in one mode with its functions; a context manager. `failures` says what was harmed."""

    CONFIG = {"limits": {"memory_budget": "8GB", "workers": 128, "init_timeout": "3s"}, "pool": {"python3": 2, "nodejs": 1},
              "log": {"rate": "1MB", "burst": "1MB"}, "network": {"allow_host": True}}

    def __init__(self, mode, config=None):
        self.mode = mode
        self.probe = build_probe()
        self.names = itertools.count()
        self.lock = threading.Lock()
        self.languages = {}  # function -> language
        self.daemon = daemon_in(mode, {**self.CONFIG, **(config or {})})
        self.before = Picture(self.daemon.work)
        self.services = HostServices(self.daemon.work)
        self.failures = []

    def __enter__(self):
        try:
            self.daemon.start()
            self.spawner = self.daemon.spawner_pid()
            self.daemon.python("neighbour", NEIGHBOUR, "timeout: 10s\nmemory: 64MB\nconcurrency: {workers_max: 1}\n")
            self.neighbour = Neighbour(self)
        except BaseException:
            self.daemon.end()
            self.services.close()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.neighbour.close()
            self.failures += [f"the neighbour got a wrong answer: {text}" for text in self.neighbour.wrong[:5]]
            self.services.close()
            self.failures += [f"the machine was changed: {text[:400]}" for text in self.changes()]
            if self.daemon.process is None or self.daemon.process.poll() is not None:
                self.failures.append(f"the engine ended: {self.daemon.log()[-2000:]}")
            else:
                self.daemon.stop()
        except (AssertionError, OSError) as error:
            self.failures.append(str(error))
        finally:
            self.daemon.end()
            self.services.close()

    def changes(self):
        """What differs from the picture before; what others do at the same time gets a moment to be over."""
        deadline = time.monotonic() + 10
        while (found := self.before.changes(Picture(self.daemon.work))) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    # --- functions

    def fresh(self, language, manifest="", files=None):
        """Deploys a function of its own for one case; returns its name."""
        with self.lock:
            name = f"attacker_{next(self.names)}"
        self.languages[name] = language
        content = dict(files or {})
        if language == "python":
            content["app.py"] = (HERE / "functions/python/app.py").read_text()
        elif language == "node":
            content["index.cjs"] = (HERE / "functions/node/index.cjs").read_text()
        if language == "native":
            manifest = "runtime: native\nhandler: probe\n" + manifest
        content["probe"] = self.probe.read_bytes()
        self.daemon.deploy(name, content, "concurrency: {workers_max: 1}\n" + manifest if "concurrency" not in manifest else manifest)
        return name

    def delete(self, name):
        self.daemon.cli("delete", name)

    def attack(self, name, code, timeout=60.0, **event):
        """Runs attack code in a Python or Node function; returns the reply."""
        return self.daemon.invoke(name, {"attack": code, **event}, timeout=timeout)

    def attempts(self, name, language, texts):
        """Outcomes of attempts in a function of that language."""
        if language == "native":
            reply = self.daemon.invoke(name, texts, timeout=120)
        elif language == "python":
            reply = self.attack(name, "import subprocess, os\nresult = subprocess.run([os.environ['LAMBDA_TASK_ROOT'] + '/probe', *event['texts']], "
                                "capture_output=True, text=True).stdout.splitlines()", 120, texts=texts)
        else:
            reply = self.attack(name, "return require('child_process').spawnSync(process.env.LAMBDA_TASK_ROOT + '/probe', event.texts, "
                                "{encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit']}).stdout.trim().split('\\n')", 120, texts=texts)
        if reply.status == 200 and "x-amz-function-error" in reply.headers and len(texts) == 1:
            return [self.outcome(reply)]
        if reply.status != 200 or "x-amz-function-error" in reply.headers:
            return [f"the function failed: {reply}"] * len(texts)
        found = reply.json()
        return found if len(found) == len(texts) else [f"{len(found)} outcomes for {len(texts)} attempts: {found}"] * len(texts)

    def fill_in(self, text):
        """Replaces {daemon} and the like by what they are in this run."""
        for key, value in (("runner", os.getpid()), ("daemon", self.daemon.pid), ("spawner", self.spawner), ("port", self.services.port), ("any_port", self.services.any_port),
                           ("abstract", self.services.abstract), ("state", self.daemon.state), ("socket", self.services.path),
                           ("host", self.services.host), ("home", os.path.expanduser("~root"))):
            text = text.replace("{" + key + "}", str(value))
        return text

    # --- judging

    @staticmethod
    def outcome(reply):
        """A word for what a call came to: the error's type, the status, or "ok"."""
        if reply.status != 200:
            return str(reply.status)
        return reply.json().get("errorType", "error") if "x-amz-function-error" in reply.headers else "ok"

    def processes(self):
        return len(descendants(self.daemon.pid))

    def harmed(self):
        """What is wrong with engine, spawner or neighbour now, or "" """
        if self.daemon.process.poll() is not None:
            return f"the engine ended: {self.daemon.log()[-1500:]}"
        if self.daemon.spawner_pid() != self.spawner:
            return "the spawner is another one"
        if self.neighbour.wrong:
            return f"the neighbour got a wrong answer: {self.neighbour.wrong[0]}"
        return ""
