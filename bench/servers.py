"""Starts what is measured, pinned to one core, and looks at it through /proc."""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
PEERS = ROOT / "bench/peers"
BODY = '{"name":"world"}'
INVOKE = "/2015-03-31/functions/{}/invocations"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call(port, path, timeout=10):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=BODY.encode(), headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as reply:
        return reply.read()


def wait_for(check, what, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if check():
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise SystemExit(f"bench: waited {seconds} s for {what}")


# --- /proc -------------------------------------------------------------------------------------------------------------

def tree(pid):
    """The process and everything below it."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = pathlib.Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            children.setdefault(int(text[text.rindex(")") + 2:].split()[1]), []).append(int(entry))
    found, front = [pid], [pid]
    while front:
        below = children.get(front.pop(), [])
        found += below
        front += below
    return found


def cpu_seconds(pids):
    """CPU time of all threads of these processes: from schedstat in nanoseconds, else from stat in ticks."""
    total = 0.0
    for pid in pids:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                try:
                    total += int(pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0]) / 1e9
                except OSError:
                    fields = pathlib.Path(f"/proc/{pid}/task/{task}/stat").read_text().rsplit(")", 1)[1].split()
                    total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            continue
    return total


def memory_kib(pid):
    """(resident, proportional) KiB of a process."""
    resident = proportional = 0
    try:
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Rss:"):
                resident = int(line.split()[1])
            if line.startswith("Pss:"):
                proportional = int(line.split()[1])
    except OSError:
        pass
    return resident, proportional


def program(pid):
    try:
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return os.path.basename(words[0].decode()) or pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "?"


# --- servers -----------------------------------------------------------------------------------------------------------

class Server:
    """A peer: one process on one core."""

    def __init__(self, name, command, core, version):
        self.name, self.version = name, version
        self.port = free_port()
        self.process = subprocess.Popen(["taskset", "-c", str(core), *map(str, command), str(self.port)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_for(lambda: b"Hello world" in call(self.port, "/"), name)

    def pids(self):
        return tree(self.process.pid)

    def close(self):
        self.process.terminate()
        self.process.wait(20)


class Hearth:
    """The daemon with the functions deployed, its whole tree on one core, or on those of a list as in "0,1"."""

    name = "hearth"

    def __init__(self, binary, core, functions, config=None, arguments=()):
        self.binary = binary
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="hearth-bench-"))
        self.work.chmod(0o711)
        self.state = self.work / "state"
        settings = self.work / "hearth.yaml"
        settings.write_text(json.dumps(config or {}))
        settings.chmod(0o644)
        self.log = open(self.work / "log", "wb")
        self.process = subprocess.Popen(["taskset", "-c", str(core), str(binary), "serve", "--config", str(settings), "--state",
                                         str(self.state), "--listen", "127.0.0.1:0", *arguments], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        address = self.state / "listen"
        wait_for(lambda: self.process.poll() is not None or (address.exists() and address.read_text().strip()), "the daemon's address")
        if self.process.poll() is not None:
            raise SystemExit("bench: the daemon did not start:\n" + (self.work / "log").read_text())
        self.port = int(address.read_text().split()[0].rsplit(":", 1)[1])
        wait_for(lambda: urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5).status == 200, "/readyz")
        for folder in functions:
            self.deploy(folder)
        self.version = subprocess.run([binary, "version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]

    def deploy(self, folder):
        subprocess.run([self.binary, "deploy", folder, "--server", f"http://127.0.0.1:{self.port}"], check=True, stdout=subprocess.DEVNULL)

    def delete(self, function):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/2015-03-31/functions/{function}", method="DELETE")
        urllib.request.urlopen(request, timeout=20).close()

    def pids(self):
        return tree(self.process.pid)

    def spawner(self):
        below = [pid for pid in tree(self.process.pid)[1:]]
        return below[0] if below else None

    def worker_counts(self):
        """{program: how many} of the processes below the spawner that run functions, parked ones included."""
        counts = {}
        for pid in tree(self.process.pid)[2:]:
            if len(tree(pid)) == 1:
                counts[program(pid)] = counts.get(program(pid), 0) + 1
        return counts

    def metrics(self):
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10).read().decode()
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, value in lines}

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.work, ignore_errors=True)


def interpreter_version(command):
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
