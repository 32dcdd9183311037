"""Attacks with processes, signals and time. Each answers with its outcome as a text; the catalogue has what is expected."""
import itertools
import os
import resource
import subprocess
import tempfile

from harness import command_line, descendants, wait_until

MARKS = itertools.count(86_400_001)

PY_SLEEPER = "import subprocess\nsubprocess.Popen(['/usr/bin/sleep', event['mark']], stdin=subprocess.DEVNULL)\n"
JS_SLEEPER = "require('child_process').spawn('/usr/bin/sleep', [event.mark], {stdio: 'ignore'}).unref();\n"


def mark():
    """An argument of sleep that tells a process of this case from all others."""
    return str(next(MARKS) + os.getpid() % 10_000 * 1000)


def alive(rig, text):
    """Processes of the daemon whose command line has the mark."""
    return [pid for pid in descendants(rig.daemon.pid) if text in command_line(pid)]


def ended(rig, text, seconds=10.0):
    """Whether all processes with the mark end within some seconds."""
    try:
        wait_until(lambda: not alive(rig, text), "the end of what was marked", seconds)
        return True
    except AssertionError:
        return False


def both(rig, python, node, manifest, judge):
    """Runs an attack in Python and in Node; the outcome if it is the same, else both. judge(name, reply, mark) gives the outcome."""
    found = []
    for language, code in (("python", python), ("node", node)):
        name, text = rig.fresh(language, manifest), mark()
        try:
            found.append(judge(name, rig.attack(name, code, mark=text), text))
        finally:
            rig.delete(name)
    return found[0] if found[0] == found[1] else f"Python: {found[0]}; Node: {found[1]}"


def fork_bomb(rig):
    """Every child forks on until its own end; the call's deadline ends them all."""
    name, text = rig.fresh("python", "timeout: 2s\n"), mark()
    code = PY_SLEEPER + """
import os, time
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.05)
"""
    try:
        reply = rig.attack(name, code, mark=text)
        outcome = "timeout" if rig.outcome(reply) == "Sandbox.Timedout" else rig.outcome(reply)
        before = rig.neighbour.calls
        gone = ended(rig, text)
        wait_until(lambda: rig.neighbour.calls > before + 2, "calls of the neighbour", 10)
        return f"{outcome}, {'all ended' if gone else 'some live on'}, neighbour well"
    finally:
        rig.delete(name)


def fork_bomb_control(rig):
    done = subprocess.run([str(rig.probe), "forks 1200"], capture_output=True, text=True, check=True)
    return "no limit" if done.stdout.strip() == "ok" else done.stdout


def daemonize(rig):
    """A grandchild in a session of its own, which ignores SIGTERM and SIGHUP."""
    python = "import subprocess\nresult = subprocess.run(['/bin/sh', '-c', \"trap '' TERM HUP; setsid sleep \" + event['mark'] + ' >/dev/null 2>&1 &']).returncode\n"
    node = "return require('child_process').spawnSync('/bin/sh', ['-c', `trap '' TERM HUP; setsid sleep ${event.mark} >/dev/null 2>&1 &`]).status"

    def judge(name, reply, text):
        if reply.body != b"0":
            return f"could not be left: {reply}"
        wait_until(lambda: alive(rig, text), "the process that was left", 5)
        rig.delete(name)
        return "ended with the sandbox" if ended(rig, text) else "lived on"
    return both(rig, python, node, "timeout: 10s\n", judge)


def daemonize_control(_):
    """Bare, the process outlives its parent."""
    text = mark()
    subprocess.run(["/bin/sh", "-c", f"trap '' TERM HUP; setsid sleep {text} >/dev/null 2>&1 &"], check=True)

    def living():  # none while it is between two programs
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if text in command_line(pid)]
    try:
        wait_until(living, "the process that was left", 5)
    except AssertionError:
        return "ended"
    for pid in living():
        os.kill(pid, 9)
    return "lived on"


def kill_all(rig):
    """kill -9 of every process that can be seen, then of itself."""
    python = PY_SLEEPER + "import os\ntry:\n    os.kill(-1, 9)\nfinally:\n    os.kill(os.getpid(), 9)\n"
    node = JS_SLEEPER + "try { process.kill(-1, 'SIGKILL'); } finally { process.kill(process.pid, 'SIGKILL'); } await new Promise(() => {});"

    def judge(name, reply, text):
        again = rig.attack(name, "result = 1" if rig_language(rig, name) == "python" else "return 1")
        if not ended(rig, text) or again.body != b"1":
            return f"something is left, or no next call: {again}"
        return rig.outcome(reply) + ("" if rig.harmed() else ", only its own")
    return both(rig, python, node, "timeout: 10s\n", judge)


def rig_language(rig, name):
    return rig.languages[name]


def kill_all_control(_):
    """As a user that nobody is: its other process dies."""
    user = str(1_700_000_000 + os.getpid())
    as_user = ["setpriv", "--reuid=" + user, "--regid=" + user, "--clear-groups"]
    with subprocess.Popen([*as_user, "sleep", mark()]) as victim:
        subprocess.run([*as_user, "/usr/bin/python3", "-c",
                        "import os, time\nfor _ in range(200):\n    try: os.kill(-1, 9)\n    except OSError: pass\n    time.sleep(0.01)"], check=False)
        if victim.poll() is None:
            victim.kill()
            return "lived on"
        return "killed"


def core_dump(rig):
    """abort() with 100 MB and the limit on core files as high as it goes."""
    name = rig.fresh("python", "timeout: 20s\nmemory: 512MB\n")
    code = """
import os, resource
try:
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
finally:
    kept = b'x' * 100_000_000
    os.abort()
"""
    try:
        outcome = rig.outcome(rig.attack(name, code))
        look = rig.attack(name, "import os\nresult = sorted(n for f in ('/tmp', os.environ['LAMBDA_TASK_ROOT'], os.getcwd()) for n in os.listdir(f) if n == 'core' or n.startswith('core.'))")
        host = [str(path) for folder in (rig.daemon.work, rig.daemon.state, rig.daemon.tmp) for path in folder.glob("core*")]
        return f"{outcome}, {'no core' if look.body == b'[]' and not host else f'cores: {look.text} {host}'}"
    finally:
        rig.delete(name)


def core_dump_control(_):
    """Bare, with a limit on core files, the kernel writes one."""
    with tempfile.TemporaryDirectory(prefix="hearth-test-core-") as folder:
        def limit():
            resource.setrlimit(resource.RLIMIT_CORE, (1 << 26, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        done = subprocess.run(["/usr/bin/python3", "-c", "import os; os.abort()"], cwd=folder, preexec_fn=limit, check=False)
        pattern = open("/proc/sys/kernel/core_pattern", encoding="utf-8").read().strip()
        made = [name for name in os.listdir(folder) if name.startswith("core")]
        return "a core file" if made or (done.returncode == -6 and pattern.startswith("|")) else f"no core file with the pattern {pattern}"


def ends(rig):
    """Every way to end in a call is reported as an end, with its signal or status in the message, and the next call works."""
    kinds = [("python", "import os\nos.kill(os.getpid(), 11)", "segmentation fault"), ("python", "import os\nos.abort()", "aborted"),
             ("python", "import os\nos._exit(0)", "0"), ("python", "import os\nos._exit(255)", "255"),
             ("python", "import ctypes\nctypes.string_at(1)", "segmentation fault"),
             ("node", "process.abort()", "aborted"), ("node", "process.reallyExit(7)", "7"), ("node", "process.kill(process.pid, 'SIGSEGV'); await new Promise(() => {});", "segmentation fault")]
    outcomes = set()
    names = {language: rig.fresh(language, "timeout: 10s\n") for language in ("python", "node")}
    try:
        for language, code, word in kinds:
            reply = rig.attack(names[language], code)
            outcomes.add(rig.outcome(reply) + ("" if word in reply.text else f" without {word}: {reply.text}"))
        return " | ".join(sorted(outcomes))
    finally:
        for name in names.values():
            rig.delete(name)


def ends_control(_):
    done = subprocess.run(["/usr/bin/python3", "-c", "import os; os.kill(os.getpid(), 11)"], check=False)
    return "killed" if done.returncode == -11 else f"exit {done.returncode}"


def timed_out(rig, python, node, benign):
    """An attack that never answers: killed at its deadline with its children. Benign: the same without the attack answers."""
    if benign:
        python, node = "result = 1", "return 1"

    def judge(_, reply, text):
        if benign:
            return "answers" if reply.body == b"1" else str(reply)
        return rig.outcome(reply) + (", ended" if ended(rig, text) else ", and lives on")
    return both(rig, python, node, "timeout: 1s\n", judge)


def busy_loop(rig, benign=False):
    return timed_out(rig, PY_SLEEPER + "import signal\nfor n in range(1, 32):\n    try: signal.signal(n, signal.SIG_IGN)\n    except (OSError, ValueError): pass\nwhile True: pass",
                     JS_SLEEPER + "process.on('SIGTERM', () => {}); for (;;) {}", benign)


def stop_itself(rig, benign=False):
    return timed_out(rig, PY_SLEEPER + "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\n",
                     JS_SLEEPER + "process.kill(process.pid, 'SIGSTOP');", benign)


def clock_games(rig, benign=False):
    """Timers and patched clocks: the deadline is the engine's own."""
    python = PY_SLEEPER + """
import signal, time
time.time = time.monotonic = lambda: 0.0
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
while True: pass
"""
    node = JS_SLEEPER + """
Date.now = () => 0; performance.now = () => 0; process.hrtime.bigint = () => 0n;
for (let i = 0; i < 20000; i++) setInterval(() => {}, 1);
await new Promise(() => {});
"""
    return timed_out(rig, python, node, benign)


def stop_init(rig, benign=False):
    """SIGSTOP to the sandbox's init and to its parent group: the end still comes in time."""
    return timed_out(rig, PY_SLEEPER + "import os, signal\nfor pid in (1, os.getppid()):\n    try: os.kill(pid, signal.SIGSTOP)\n    except OSError: pass\n"
                     "while True: pass", JS_SLEEPER + "try { process.kill(1, 'SIGSTOP'); } catch {} try { process.kill(process.ppid, 'SIGSTOP'); } catch {} for (;;) {}", benign)


