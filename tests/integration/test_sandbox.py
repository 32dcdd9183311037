"""What a function finds inside its sandbox, as root's daemon (strict) and as a plain user's (user mode).

The hostile catalogue proper stands in sandbox/; here are the facts that a user is promised.
"""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from harness import HEARTH, IS_ROOT, PATIENCE, Daemon, DaemonTest, descendants, wait_until

PROBE = r"""
import ctypes, errno, json, os, signal, socket, sys
libc = ctypes.CDLL(None, use_errno=True)

def attempt(action):
    try:
        return {"worked": repr(action())[:200]}
    except OSError as error:
        return {"errno": errno.errorcode.get(error.errno, error.errno)}
    except Exception as error:
        return {"error": type(error).__name__}

def connect(address):
    with socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM) as s:
        s.settimeout(2)
        s.connect(address)

def call(name, *args):
    ctypes.set_errno(0)
    result = getattr(libc, name)(*args)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result

def write(path):
    with open(path, "w") as f:
        f.write("x")

def status(key):
    for line in open("/proc/self/status"):
        if line.startswith(key + ":"):
            return line.split(":", 1)[1].strip()

def handler(event, context):
    kind = event["kind"]
    if kind == "network":
        port = event["port"]
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0)); server.listen()
            own = attempt(lambda: connect(server.getsockname()))
        return {"host_loopback": attempt(lambda: connect(("127.0.0.1", port))), "any": attempt(lambda: connect(("0.0.0.0", port))),
                "v6": attempt(lambda: connect(("::1", port))), "metadata": attempt(lambda: connect(("169.254.169.254", 80))),
                "public": attempt(lambda: connect(("192.0.2.1", 80))), "own_loopback": own,
                "interfaces": [name for _, name in socket.if_nameindex()]}
    if kind == "files":
        return {"code": attempt(lambda: write("/var/task/new")), "own_code": attempt(lambda: write(__file__)),
                "runtime": attempt(lambda: write("/var/runtime/new")), "usr": attempt(lambda: write("/usr/new")),
                "root": attempt(lambda: write("/new")), "tmp": attempt(lambda: write("/tmp/mine")),
                "shadow": attempt(lambda: open("/etc/shadow").read()), "home": attempt(lambda: os.listdir("/root")),
                "state": attempt(lambda: os.listdir(event["state"])), "kmsg": attempt(lambda: open("/dev/kmsg").read(1)),
                "sysctl": attempt(lambda: write("/proc/sys/kernel/core_pattern")), "tmp_list": sorted(os.listdir("/tmp"))}
    if kind == "process":
        return {"fds": {n: attempt(lambda n=n: os.readlink("/proc/self/fd/" + n)) for n in sorted(os.listdir("/proc/self/fd"), key=int)},
                "pids": sorted(int(p) for p in os.listdir("/proc") if p.isdigit()), "pid": os.getpid(), "uid": os.getuid(), "gid": os.getgid(),
                "groups": os.getgroups(), "caps": [status(k) for k in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
                "no_new_privs": status("NoNewPrivs"), "seccomp": status("Seccomp"), "environ": dict(os.environ), "cwd": os.getcwd(),
                "host": socket.gethostname(), "kill_init": attempt(lambda: os.kill(event["daemon"], 0)),
                "namespaces": {n: os.readlink("/proc/self/ns/" + n) for n in ("pid", "net", "mnt", "ipc", "uts", "user")}}
    if kind == "calls":
        return {"ptrace": attempt(lambda: call("ptrace", 16, 1, 0, 0)), "mount": attempt(lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, 0)),
                "unshare": attempt(lambda: call("unshare", 0x10000000)), "setuid": attempt(lambda: call("setuid", 0)),
                "bpf": attempt(lambda: call("syscall", 321, 0, 0, 0)), "keyctl": attempt(lambda: call("syscall", 250, 0, 0, 0)),
                "io_uring": attempt(lambda: call("syscall", 425, 1, 0)), "unknown": attempt(lambda: call("syscall", 9999)),
                "chroot": attempt(lambda: call("chroot", b"/tmp")), "mknod": attempt(lambda: call("mknod", b"/tmp/d", 0o60644, 0x0801)),
                "nice": attempt(lambda: os.nice(-5)), "open": attempt(lambda: os.close(os.open("/tmp", os.O_RDONLY)))}
    if kind == "limits":
        import resource
        files = []
        try:
            while True: files.append(os.open("/dev/null", os.O_RDONLY))
        except OSError as error:
            emfile = errno.errorcode[error.errno]
        for f in files: os.close(f)
        children = []
        try:
            for _ in range(5000):
                pid = os.fork()
                if pid == 0:
                    signal.pause()
                children.append(pid)
            fork = "no limit"
        except OSError as error:
            fork = errno.errorcode[error.errno]
        for child in children:
            os.kill(child, 9); os.waitpid(child, 0)
        full = attempt(lambda: fill("/tmp/big"))
        os.unlink("/tmp/big")
        return {"open_files": [len(files), emfile], "fork": fork, "children": len(children), "tmp": full,
                "core": resource.getrlimit(resource.RLIMIT_CORE)[0]}
    if kind == "daemonize":
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for fd in (0, 1, 2, 3):
                    os.close(fd)
                while True: signal.pause()
            os._exit(0)
        return "left a daemon behind"
    if kind == "kill":
        os.kill(os.getpid(), event["signal"])
    if kind == "mounts":
        return [line.split()[3:5] for line in open("/proc/self/mountinfo")]
    if kind == "kexec":
        libc.syscall(246, 0, 0, 0, 0, 0)

def fill(path):
    with open(path, "wb") as f:
        while True: f.write(b"\0" * (1 << 20))
"""


class Inside(DaemonTest):
    """As root: strict mode."""

    mode = "strict"

    @classmethod
    def setUpClass(cls):
        if cls.mode == "strict" and not IS_ROOT:
            raise unittest.SkipTest("strict mode needs root")
        cls.sandbox = cls.mode
        super().setUpClass()

    @classmethod
    def deploy_functions(cls):
        cls.daemon.python("probe", PROBE, "timeout: 20s\nmemory: 512MB\nenvironment: {MINE: value}\nconcurrency: {workers_max: 1}\n")
        cls.daemon.python("other", "import os\ndef handler(event, context):\n    return sorted(os.listdir('/tmp'))\n")

    def probe(self, kind, **more):
        reply = self.daemon.invoke("probe", {"kind": kind, **more}, timeout=60)
        self.assertEqual(reply.status, 200, reply)
        self.assertNotIn("x-amz-function-error", reply.headers, reply)
        return reply.json()

    def test_the_mode_in_force(self):
        facts = self.daemon.log() + self.daemon.request("GET", "/metrics").text
        self.assertIn(self.mode, facts)

    def test_no_network_but_an_own_loopback(self):
        got = self.probe("network", port=self.daemon.port)
        self.assertEqual(got["interfaces"], ["lo"])
        self.assertIn("worked", got["own_loopback"])
        for target in ("host_loopback", "any", "v6", "metadata", "public"):
            self.assertNotIn("worked", got[target], got)

    def test_files(self):
        got = self.probe("files", state=str(self.daemon.state))
        for path in ("code", "own_code", "runtime", "usr", "root"):
            self.assertIn(got[path].get("errno"), ("EROFS", "EACCES", "EPERM"), (path, got))
        for path in ("shadow", "state", "kmsg", "sysctl"):
            self.assertNotIn("worked", got[path], (path, got))
        self.assertIn(got["home"].get("worked", "[]"), ("[]",), "root's home is not there, or an empty folder")
        self.assertIn("worked", got["tmp"])
        self.assertEqual(self.daemon.invoke("other").json(), [], "another function's /tmp is its own")
        self.assertFalse(os.path.exists("/tmp/mine"))

    def test_the_mounts_show_the_path_of_the_own_code_and_of_no_other(self):
        roots = {at: root for root, at in self.probe("mounts")}
        state = str(self.daemon.state.resolve())
        inside = {at for at, root in roots.items() if root != "/" and state.endswith(root.split("/code/")[0].split("/runtimes/")[0])}
        self.assertEqual(inside, {"/var/task", "/var/runtime"}, roots)
        self.assertRegex(roots["/var/task"], r"/code/[0-9a-f]{64}$")
        self.assertRegex(roots["/var/runtime"], r"/runtimes/[0-9a-f]{64}$")
        self.assertEqual({at for at in roots if at.startswith("/var/")}, {"/var/task", "/var/runtime"})

    def test_descriptors_processes_and_identity(self):
        got = self.probe("process", daemon=self.daemon.pid)
        fds = {fd for fd, target in got["fds"].items() if "worked" in target}  # the one that listed the folder is closed by now
        self.assertEqual(fds, {"0", "1", "2", "3"}, got["fds"])
        self.assertLessEqual(len(got["pids"]), 3, "only its own processes: " + str(got["pids"]))
        self.assertLess(got["pid"], 10)
        self.assertNotEqual(got["uid"], 0)
        self.assertEqual(got["groups"] in ([], [got["gid"]], [65534]), True, got)
        self.assertEqual(set(got["caps"]), {"0" * 16}, got)
        self.assertEqual((got["no_new_privs"], got["seccomp"]), ("1", "2"))
        self.assertNotIn("worked", got["kill_init"])
        self.assertNotEqual(got["host"], os.uname().nodename)
        for name, inode in got["namespaces"].items():
            if name != "user" or self.mode == "user":
                self.assertNotEqual(inode, os.readlink(f"/proc/self/ns/{name}"), name)

    def test_the_environment_is_built_from_nothing(self):
        environment = self.probe("process", daemon=1)["environ"]
        self.assertEqual(environment["MINE"], "value")
        for name in environment:
            self.assertTrue(name in ("MINE", "PATH", "LANG", "TZ", "HOME", "TMPDIR", "_HANDLER") or name.startswith(("AWS_", "LAMBDA_", "LC_")),
                            name)

    def test_dangerous_system_calls_fail(self):
        got = self.probe("calls")
        self.assertIn("worked", got.pop("open"), "the control: an allowed call works")
        for name, result in got.items():
            self.assertIn(result.get("errno"), ("EPERM", "ENOSYS", "EACCES"), (name, got))

    def test_limits(self):
        got = self.probe("limits")
        self.assertEqual(got["open_files"][1], "EMFILE")
        self.assertEqual(got["fork"], "EAGAIN", got)
        self.assertIn(got["tmp"].get("errno"), ("ENOSPC", "EFBIG"), got)
        self.assertLessEqual(got["core"], 1, "1 byte keeps even a handler that is a pipe from being run")
        self.assertEqual(self.daemon.invoke("other").status, 200)

    def test_a_process_left_behind_dies_with_its_sandbox(self):
        before = len(descendants(self.daemon.pid))
        self.daemon.python("leaver", PROBE, "timeout: 5s\nconcurrency: {workers_max: 1}\n")
        self.assertEqual(self.daemon.invoke("leaver", {"kind": "daemonize"}).json(), "left a daemon behind")
        self.daemon.cli("delete", "leaver", check=0)
        wait_until(lambda: len(descendants(self.daemon.pid)) <= before + 2, "the end of the sandbox", 20)

    def test_signals_to_itself(self):
        for number in (9, 11, 15, 6):
            reply = self.daemon.invoke("probe", {"kind": "kill", "signal": number})
            self.assertEqual((reply.status, reply.headers.get("x-amz-function-error")), (200, "Unhandled"), reply)

    def test_a_call_for_which_the_filter_kills(self):
        reply = self.daemon.invoke("probe", {"kind": "kexec"})
        self.assertEqual((reply.status, reply.headers.get("x-amz-function-error")), (200, "Unhandled"), reply)
        self.assertRegex(reply.text, "(?i)sandbox|SIGSYS")


class InsideUserMode(Inside):
    """As a plain user: user namespaces."""

    mode = "user"
    user = True


REACH = r"""
import os
def handler(event, context):
    def attempt(action):
        try:
            return repr(action())
        except OSError as error:
            return type(error).__name__
    return {"uid": os.getuid(), **{path: attempt(lambda: open(path).read(1)) for path in event["files"]},
            **{path: attempt(lambda: os.listdir(path)) for path in event["folders"]}}
"""


@unittest.skipUnless(IS_ROOT, "workers get uids of their own from root alone")
class DegradedAsRoot(DaemonTest):
    """Workers with uids of their own and without mounts: they walk to their code through a state folder that shows them nothing."""

    shared = False
    config = {"sandbox": {"allow_degraded": True}}

    def degraded_daemon(self, **kwargs):
        work = tempfile.mkdtemp(prefix="hearth-test-", dir="/var/tmp")  # not in /tmp, which functions may write to
        self.addCleanup(shutil.rmtree, work, ignore_errors=True)
        return self.own_daemon(self.config, sandbox="degraded", work=work, **kwargs)

    def test_functions_run_and_see_nothing_of_the_state(self):
        daemon = self.degraded_daemon(start=False)
        daemon.state.mkdir(mode=0o700)  # as every other mode leaves it
        daemon.start()
        daemon.python("reach", REACH)
        state = str(daemon.state)
        files, folders = [state + "/hearth.db", state + "/lock"], [state, state + "/code", state + "/archives", state + "/logs"]
        got = daemon.invoke("reach", {"files": files, "folders": folders}).json()
        self.assertNotIn(got.pop("uid"), (0, os.stat(state).st_uid))
        self.assertEqual(set(got.values()), {"PermissionError"}, got)
        modes = {name: oct(os.stat(f"{state}/{name}").st_mode & 0o777) for name in (".", "code", "hearth.db", "archives", "staging", "logs")}
        self.assertEqual(modes, {".": "0o711", "code": "0o711", "hearth.db": "0o600", "archives": "0o700", "staging": "0o700", "logs": "0o700"})
        self.assertEqual(daemon.stop(), 0)
        daemon.start()  # again, over what the first one left
        self.assertEqual(daemon.invoke("reach", {"files": [], "folders": []}).status, 200)

    def test_a_folder_above_that_lets_nobody_pass_is_named(self):
        daemon = self.degraded_daemon(start=False)
        daemon.work.chmod(0o700)
        daemon.spawn()
        self.assertNotEqual(daemon.process.wait(60 * PATIENCE), 0)
        self.assertRegex(daemon.log(), f"can't pass {daemon.work}; chmod o\\+x it")


class DegradedAsUser(DaemonTest):
    """Workers with the engine's uid: what Landlock lets them write to must not hold the state."""

    shared = False
    config = {"sandbox": {"allow_degraded": True}}

    def test_a_state_folder_in_tmp_is_refused(self):
        work = tempfile.mkdtemp(prefix="hearth-test-", dir="/tmp")
        self.addCleanup(shutil.rmtree, work, ignore_errors=True)
        daemon = self.own_daemon(self.config, user=True, sandbox="degraded", work=work, start=False)
        daemon.spawn()
        self.assertNotEqual(daemon.process.wait(60 * PATIENCE), 0)
        self.assertIn("name one outside of /tmp", daemon.log())

    def test_the_state_is_out_of_reach(self):
        work = tempfile.mkdtemp(prefix="hearth-test-", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, work, ignore_errors=True)
        daemon = self.own_daemon(self.config, user=True, sandbox="degraded", work=work)
        layers = {layer["name"]: layer["on"] for layer in daemon.request("GET", "/hearth/v1/sandbox").json()["layers"]}
        if not layers["landlock"]:
            self.skipTest("this kernel has no Landlock")
        daemon.python("reach", REACH)
        files, folders = [str(daemon.state / "hearth.db")], [str(daemon.state), str(daemon.state / "logs")]
        got = daemon.invoke("reach", {"files": files, "folders": folders}).json()
        self.assertEqual({got[path] for path in files + folders}, {"PermissionError"}, got)


class Doctor(unittest.TestCase):
    @unittest.skipUnless(HEARTH.exists(), f"{HEARTH} is not built")
    def test_doctor_and_daemon_agree(self):
        daemon = Daemon()
        try:
            daemon.start()
            facts = json.loads(subprocess.run([HEARTH, "doctor", "--json"], capture_output=True, check=True, env=daemon.environment(),
                                              timeout=60 * PATIENCE).stdout)
            self.assertIn("strict" if IS_ROOT else "user", json.dumps(facts))
            layers = {layer["name"]: layer for layer in facts["layers"]}
            told = daemon.request("GET", "/hearth/v1/sandbox").json()
            self.assertIsNone(told["unpacker_layers"])  # nothing was unpacked yet
            self.assertEqual(told["generic_zygote"]["on"], layers["generic zygote"]["on"])
            self.assertEqual(daemon.metrics()["hearth_generic_zygote"], layers["generic zygote"]["on"])
            daemon.python("any", "def handler(event, context):\n    return 1\n")
            told = daemon.request("GET", "/hearth/v1/sandbox").json()
            self.assertLessEqual({"seccomp", "no_new_privs", "no_capabilities"}, {layer["name"] for layer in told["unpacker_layers"] if layer["on"]})
        finally:
            daemon.stop()
            daemon.remove()

    def test_a_zygote_that_is_switched_off_is_told(self):
        daemon = Daemon({"pool": {"zygote_forks": 0}})
        try:
            daemon.start()
            told = daemon.request("GET", "/hearth/v1/sandbox").json()["generic_zygote"]
            self.assertEqual((told["on"], told["state"]), (False, "off"))
            self.assertIn("pool.zygote_forks", told["reason"])
            self.assertEqual(daemon.metrics()["hearth_generic_zygote"], 0)
        finally:
            daemon.stop()
            daemon.remove()


if __name__ == "__main__":
    unittest.main()
