"""Attacks on limits, and what one function leaves behind for another."""
import itertools
import json
import os
import subprocess
import time

from checks_process import JS_SLEEPER, PY_SLEEPER, alive, ended, mark
from harness import wait_until

OBJECTS = itertools.count(175_100_000 + os.getpid() % 10_000 * 4)


def shared_memory(rig):
    """Objects that one function makes for everybody, looked for by another."""
    number = next(OBJECTS)
    name, key = f"/hearth-hostile-{number}", str(number)
    one, two = rig.fresh("native"), rig.fresh("native")
    try:
        made = rig.attempts(one, "native", [f"shm_make {name}", f"sysv_make {key}", f"mq {name}"])
        seen = rig.attempts(two, "native", [f"shm_look {name}", f"sysv_look {key}"])
        rig.attempts(one, "native", [f"shm_remove {name}", f"sysv_remove {key}"])
        if made[0] == "EACCES":
            return "nothing seen"
        if made[0] != "ok":
            return f"could not be made: {made}"
        return {("ENOENT", "ENOENT"): "nothing seen", ("ENOENT", "ENOSYS"): "nothing seen", ("ok", "ENOSYS"): "POSIX seen", ("ok", "ok"): "all seen",
                ("EACCES", "ENOSYS"): "nothing seen"}.get(tuple(seen), f"{made} {seen}")
    finally:
        rig.delete(one)
        rig.delete(two)


PY_MEMORY = {
    "bytes": "kept = []\nwhile True: kept.append(bytearray(8 << 20))",
    "text": "kept = []\nwhile True:\n    kept.append('x' * len(kept) * 1000 + 'y')",
    "memory files": "import os\nfor _ in range(16):\n    fd = os.memfd_create('hearth-hostile')\n    for _ in range(64): os.write(fd, b'x' * (1 << 20))\nresult = 'no limit'",
    "shared memory": "import mmap\nkept = []\nwhile len(kept) < 128:\n    kept.append(mmap.mmap(-1, 8 << 20)); kept[-1][::4096] = b'x' * 2048\nresult = 'no limit'",
    "tmpfs": "files = []\nfor path in ('/dev/shm/hearth-hostile-big', '/tmp/hearth-hostile-big'):\n    try: files.append(open(path, 'wb'))\n    except OSError: pass\n"
             "import os\nfor path in ('/dev/shm/hearth-hostile-big', '/tmp/hearth-hostile-big'):\n    try: os.unlink(path)\n    except OSError: pass\n"
             "try:\n    for _ in range(600): [f.write(b'x' * (1 << 20)) for f in files]\n    result = 'no limit'\nexcept OSError: raise MemoryError('tmpfs is full')"}
JS_MEMORY = {"buffers": "const kept = []; for (;;) kept.push(Buffer.alloc(8 << 20, 1));", "objects": "const kept = []; for (;;) kept.push({a: [kept.length, 'x'.repeat(99)]});"}


def memory_bombs(rig):
    """Memory of every kind, in Python, Node and C, at a limit of 128 MB. An out of memory error that the language itself throws in time
    (MemoryError, a RangeError) is a report of the limit too. /tmp is the host's in degraded mode, so its size is none of memory's."""
    wrong = []
    for language, codes in (("python", PY_MEMORY), ("node", JS_MEMORY)):
        name = rig.fresh(language, "timeout: 10s\nmemory: 128MB\n")
        try:
            for kind, code in codes.items():
                if kind == "tmpfs" and rig.mode == "degraded":
                    continue
                reply = rig.attack(name, code)
                if reply.body == b'"no limit"':
                    wrong.append(kind)
                elif rig.outcome(reply) not in ("Runtime.OutOfMemory", "MemoryError", "RangeError"):
                    wrong.append(f"{kind} ({reply})")
        finally:
            rig.delete(name)
    name = rig.fresh("native", "timeout: 10s\nmemory: 128MB\n")
    try:
        got = rig.attempts(name, "native", ["memory 1000"])
        if got[0] not in ("ENOMEM", "SIGKILL") and "OutOfMemory" not in got[0]:
            wrong.append(f"native memory ({got[0]})")
    finally:
        rig.delete(name)
    return "no limit on " + ", ".join(wrong) if wrong else "Runtime.OutOfMemory"


def memory_bombs_control(rig):
    """Bare, 600 MB are there for the asking."""
    done = subprocess.run([str(rig.probe), "memory 600", "memfd 300"], capture_output=True, text=True, check=True)
    return "no limit" if done.stdout.split() == ["ok", "ok"] else done.stdout


def child_memory(rig):
    """A child that the kernel kills for memory while the worker lives on: said in the log or counted."""
    name = rig.fresh("python", "timeout: 20s\nmemory: 256MB\n")
    code = """
import os
pid = os.fork()
if pid == 0:
    for _ in range(8):  # one alone meets the limit on a file's size
        fd = os.memfd_create('hearth-hostile')
        for _ in range(190): os.write(fd, b'x' * (1 << 20))
    os._exit(0)
result = 'ok' if os.waitpid(pid, 0)[1] == 0 else 'ended'
"""
    try:
        reply = rig.attack(name, code)
        if rig.outcome(reply) == "Runtime.OutOfMemory":
            return "flagged"
        if reply.json() == "ok":
            return "no limit"
        rig.attack(name, "result = 1")
        counted = [line for line in rig.daemon.metrics() if "oom" in line.lower() or "out_of_memory" in line]
        said = [line for line in rig.daemon.log().splitlines() if "memory" in line and name in line]
        return "flagged" if said or any(rig.daemon.metrics()[line] > 0 for line in counted) else "not flagged"
    finally:
        rig.delete(name)


def child_memory_control(rig):
    done = subprocess.run([str(rig.probe), "memfd 400"], capture_output=True, text=True, check=True)
    return "no limit" if done.stdout.split() == ["ok"] else done.stdout


def spin(rig):
    """Four processes that compute, with `cpu: 0.2`: the most CPU time that they get of the wall clock's. Others may take the machine
    meanwhile, so one try that gets more is enough to show that there is no limit."""
    quota = "" if rig.mode == "off" else "cpu: 0.2\n"
    name = rig.fresh("python", "timeout: 20s\nconcurrency: {workers_max: 1}\n" + quota)
    code = """
import os, resource, time
before = resource.getrusage(resource.RUSAGE_CHILDREN)
began, children = time.monotonic(), []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        while time.monotonic() - began < 1: pass
        os._exit(0)
    children.append(pid)
for pid in children: os.waitpid(pid, 0)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
result = [used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - began]
"""
    try:
        shares = []
        for _ in range(3):
            used, wall = rig.attack(name, code).json()
            shares.append(used / wall)
            if shares[-1] > 0.35:
                return "no limit"
        before = rig.neighbour.calls
        wait_until(lambda: rig.neighbour.calls > before + 2, "calls of the neighbour", 10)
        return "quota kept, neighbour well"
    finally:
        rig.delete(name)


def background_work(rig, benign=False):
    """A thread that works on after the reply: frozen until the next call. Benign: the same within one call."""
    name = rig.fresh("python", "timeout: 10s\n")
    count = "import threading, time, builtins\nbuiltins.count = 0\ndef work():\n    while True:\n        builtins.count += 1; time.sleep(0.01)\nthreading.Thread(target=work, daemon=True).start()\n"
    try:
        if benign:
            got = rig.attack(name, count + "time.sleep(0.5)\nresult = builtins.count").json()
            return "works" if got > 10 else str(got)
        first = rig.attack(name, count + "result = builtins.count").json()
        time.sleep(1.5)
        second = rig.attack(name, "import builtins\nresult = getattr(builtins, 'count', None)").json()
        if second is None:
            return "a new worker"
        return "frozen" if second - first < 50 else "runs on"
    finally:
        rig.delete(name)


def leftover_child(rig, benign=False):
    """With `leftovers: kill` a child does not outlive its call. Benign: within the call it lives."""
    policy = "" if rig.mode == "off" else "leftovers: kill\n"
    name, text = rig.fresh("python", "timeout: 10s\n" + policy), mark()
    try:
        if benign:
            got = rig.attack(name, PY_SLEEPER + "import subprocess\nresult = subprocess.Popen(['/usr/bin/sleep', '0']).wait()", mark=text)
            return "works" if got.body == b"0" else str(got)
        reply = rig.attack(name, PY_SLEEPER + "result = 1", mark=text)
        if reply.body != b"1":
            return str(reply)
        return "ended" if ended(rig, text, 3) else "lives on"
    finally:
        rig.delete(name)


def state_leak(rig):
    """What a function left, looked for by the function that comes next, in the same slots."""
    leave = """
import os, subprocess
for path in ('/tmp/hearth-hostile-state', '/dev/shm/hearth-hostile-state'):
    try: open(path, 'w').write('secret')
    except OSError: pass
os.environ['HOSTILE'] = 'secret'
import builtins; builtins.hostile = 'secret'
subprocess.Popen(['/usr/bin/sleep', event['mark']])
result = os.getuid()
"""
    look = """
import os, builtins
def names(f):
    try: return os.listdir(f)
    except OSError: return []
result = [p for f in ('/tmp', '/dev/shm') for p in names(f) if 'hearth-hostile-state' in p] + [k for k in os.environ if k == 'HOSTILE'] + \\
    [n for n in dir(builtins) if n == 'hostile'] + [p for p in os.listdir('/proc') if p.isdigit() and event['mark'].encode() in read(p)]
"""
    look = "def read(p):\n    try: return open('/proc/' + p + '/cmdline', 'rb').read()\n    except OSError: return b''\n" + look
    seen = []
    for _ in range(3):
        text = mark()
        one = rig.fresh("python", "timeout: 10s\n")
        rig.attack(one, leave, mark=text)
        rig.delete(one)
        if not ended(rig, text):
            return "its processes live on"
        two = rig.fresh("python", "timeout: 10s\n")
        seen += rig.attack(two, look, mark=text).json()
        rig.attack(two, "import os\nfor p in ('/tmp/hearth-hostile-state', '/dev/shm/hearth-hostile-state'):\n    try: os.unlink(p)\n    except OSError: pass")
        rig.delete(two)
    subprocess.run(["rm", "-f", "/tmp/hearth-hostile-state", "/dev/shm/hearth-hostile-state"], check=True)
    return "nothing seen" if not seen else "files seen" if all("state" in word for word in seen) else f"seen: {seen}"


def secrets(rig):
    """The environment of another function and of the engine: in one's own, in any /proc."""
    with rig.lock:
        name = f"attacker_{next(rig.names)}"
    rig.daemon.python(name, "def handler(event, context):\n    return 1\n", "environment: {OTHER_SECRET: 'kept by another'}\n")
    spy = rig.fresh("python", "timeout: 10s\n")
    code = """
import os
found = set()
for pid in [p for p in os.listdir('/proc') if p.isdigit()] + ['self', 'thread-self']:
    try: text = open('/proc/' + pid + '/environ', 'rb').read()
    except OSError: continue
    for word in (b'OTHER_SECRET', b'HEARTH_TEST_SECRET'):
        if word in text: found.add(word.decode())
result = sorted(found | (set(os.environ) & {'OTHER_SECRET', 'HEARTH_TEST_SECRET'}))
"""
    try:
        rig.daemon.invoke(name, {})
        found = rig.attack(spy, code).json()
        return "nothing seen" if not found else "the engine's seen" if found == ["HEARTH_TEST_SECRET"] else json.dumps(found)
    finally:
        rig.delete(name)
        rig.delete(spy)


def secrets_control(rig):
    """As root, the engine's environment is in its /proc."""
    with open(f"/proc/{rig.daemon.pid}/environ", "rb") as file:
        return "the engine's seen" if b"HEARTH_TEST_SECRET" in file.read() else "nothing seen"


def every_thread(rig):
    """Each thread of a worker, and of its children, has the filter and no capability."""
    python = """
import os, glob
texts = [open(p).read() for p in glob.glob('/proc/[0-9]*/task/*/status')]
mine = [t for t in texts if not t.startswith('Name:\\thearth-init')]
result = [len(mine), all('Seccomp:\\t2' in t and 'NoNewPrivs:\\t1' in t and 'CapPrm:\\t' + '0' * 16 in t and 'CapBnd:\\t' + '0' * 16 in t for t in mine)]
"""
    if rig.mode in ("degraded", "off"):
        # The others of /proc are not its own; and a plain user can't drop the bounding set, which no_new_privs makes void.
        python = python.replace("/proc/[0-9]*", "/proc/self").replace(" and 'CapBnd:\\t' + '0' * 16 in t", "")
    name = rig.fresh("python", "timeout: 10s\n")
    try:
        count, good = rig.attack(name, python).json()
        return "confined" if good and count >= 1 else "free"
    finally:
        rig.delete(name)


def memory_file_program(rig):
    """A program in memory is run: it stays confined."""
    name = rig.fresh("python", "timeout: 10s\n")
    code = """
import os, subprocess
fd = os.memfd_create('hearth-hostile', 0)
with open(os.environ['LAMBDA_TASK_ROOT'] + '/probe', 'rb') as f: os.write(fd, f.read())
result = subprocess.run(['/proc/self/fd/%d' % fd, 'status', 'fds', 'clone 0x10000000'], pass_fds=(fd,), capture_output=True, text=True).stdout.split()
"""
    try:
        got = rig.attack(name, code).json()
        return "confined" if got and got[0] in ("confined", "bounding") and got[-1] == "EPERM" else "free" if got and got[0] == "free" else str(got)
    finally:
        rig.delete(name)


__all__ = [name for name in dir() if not name.startswith("_") and name not in ("itertools", "json", "os", "subprocess", "time", "alive", "JS_SLEEPER")]
