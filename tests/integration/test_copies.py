"""Python workers that are copies of the generic zygote: what a function sees, what a parked one costs, and what happens without the zygote."""
import os
import signal
import unittest

from harness import DaemonTest, PATIENCE, descendants, wait_until
from test_pool import together

LOOK = '''import ctypes, gc, os, random, resource, signal, sys, threading, time
def handler(event, context):
    time.sleep(event.get("seconds", 0))
    seen = {
        "argv": sys.argv, "flags": list(sys.flags), "modules": sorted(sys.modules), "path": sys.path, "environment": dict(os.environ),
        "executable": sys.executable, "prefix": sys.prefix, "exe": os.readlink("/proc/self/exe"), "name": open("/proc/self/comm").read(),
        "handlers": {s: str(signal.getsignal(s)) for s in range(1, 32)}, "mask": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "collector": [gc.isenabled(), gc.get_threshold()], "switch": sys.getswitchinterval(), "recursion": sys.getrecursionlimit(),
        "ids": [os.getpid(), os.getppid(), os.getuid() == os.getgid() != 0, os.getgroups(), os.getsid(0) == os.getpid()],
        "threads": [t.name for t in threading.enumerate()], "main": threading.main_thread().native_id == os.getpid(),
        "limits": [resource.getrlimit(r) for r in range(16)], "umask": os.umask(0o22), "cwd": os.getcwd(),
        "descriptors": sorted(os.listdir("/proc/self/fd"))[:4], "cloexec": [os.get_inheritable(fd) for fd in range(4)],
        "standard": [sys.stdin.fileno(), sys.stdout.fileno(), sys.stderr.fileno()], "atexit": __import__("atexit")._ncallbacks(),
        "child": os.system("exit 3") >> 8, "mappings": any("hearth-zygote" in line for line in open("/proc/self/maps")),
    }
    return [seen, random.random(), os.stat("/proc/self/ns/pid").st_ino]
'''
FORKS, EXECS = 'hearth_sandbox_starts_total{way="fork"}', 'hearth_sandbox_starts_total{way="exec"}'
PARKED = 'hearth_workers_parked{runtime="python3"}'
PARKED_KIB_MAX = 4096
BURST = 24


def private_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return sum(int(line.split()[1]) for line in rollup if line.startswith(("Private_Clean:", "Private_Dirty:")))


def parents(daemon):
    found = {}
    for pid in descendants(daemon.spawner_pid()):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                found[pid] = int(stat.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            pass
    return found


def is_python(pid):
    try:
        return "python" in os.readlink(f"/proc/{pid}/exe") and bool(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return False


def comm(pid):
    try:
        with open(f"/proc/{pid}/comm") as name:
            return name.read().strip()
    except OSError:
        return ""


def zygote(daemon):
    """The interpreter among the spawner's own children: inits have another name."""
    return next((pid for pid, parent in parents(daemon).items()
                 if parent == daemon.spawner_pid() and is_python(pid) and comm(pid).startswith("python")), None)


def python_workers(daemon):
    return [pid for pid, parent in parents(daemon).items() if parent != daemon.spawner_pid() and is_python(pid) and comm(pid).startswith("python")]


class Copies(DaemonTest):
    config = {"pool": {"python3": 3, "nodejs": 0}, "limits": {"workers": 40, "workers_per_function": 40}}

    def parked(self):
        wait_until(lambda: self.daemon.metrics()[PARKED] >= 3, "parked workers", 20 * PATIENCE)

    def test_a_function_sees_what_it_sees_after_an_exec(self):
        other = self.own_daemon({**self.config, "pool": {"python3": 1, "nodejs": 0, "zygote_forks": 0}}, user=self.user)
        seen = []
        for daemon in (self.daemon, other):
            daemon.python("look", LOOK, "memory: 128MB\n")
            seen.append(daemon.invoke("look", {}).json()[0])
        for name in sorted({*seen[0], *seen[1]}):
            with self.subTest(name):
                self.assertEqual(seen[0][name], seen[1][name])
        self.assertGreater(self.daemon.metrics()[FORKS], 0)
        self.assertEqual(other.metrics()[FORKS], 0)
        self.assertGreater(other.metrics()[EXECS], 0)
        self.assertIn("no generic zygote", other.log())

    def test_a_parked_worker_costs_four_megabytes_at_most(self):
        self.parked()
        # Whatever is charged with it: each worker of this daemon, parked or used.
        costs = {pid: private_kib(pid) for pid in python_workers(self.daemon)}
        self.assertGreaterEqual(len(costs), 3)
        parked = sorted(costs.values())[:3]
        self.assertLessEqual(max(parked), PARKED_KIB_MAX, costs)

    def test_a_burst_is_made_of_copies(self):
        self.parked()
        before = self.daemon.metrics()
        self.daemon.python("burst", LOOK, f"timeout: 30s\nmemory: 128MB\nconcurrency: {{workers_max: {BURST}}}\n")
        replies = [reply.json() for reply in together(self.daemon, "burst", 3 * BURST, {"seconds": 0.25})]
        after = self.daemon.metrics()
        self.assertLessEqual(len({inode for _, _, inode in replies}), BURST)
        self.assertEqual(len({number for _, number, _ in replies}), len(replies))  # each has its own random state
        self.assertEqual(after[EXECS], before[EXECS])
        self.assertGreater(after[FORKS], before[FORKS])

    def test_without_the_zygote_calls_are_answered(self):
        self.parked()
        first = zygote(self.daemon)
        self.assertIsNotNone(first)
        os.kill(first, signal.SIGKILL)
        self.daemon.python("orphan", LOOK, "memory: 128MB\nconcurrency: {workers_max: 8}\n")
        self.assertEqual({reply.status for reply in together(self.daemon, "orphan", 16, {"seconds": 0.1})}, {200})

        def another():
            # A start asks for it as soon as the pause is over.
            self.daemon.python("again", LOOK + f"# {os.urandom(4).hex()}\n", "memory: 128MB\n")
            self.daemon.invoke("again", {})
            return zygote(self.daemon) not in (None, first)
        wait_until(another, "another zygote", 20 * PATIENCE)


class CopiesInUserMode(Copies):
    user = True


if __name__ == "__main__":
    unittest.main()
