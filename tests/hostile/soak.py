#!/usr/bin/python3
"""Cold starts and kills, 10,000 at scale 1: afterwards there is as much of everything as before.

    soak.py [--bin HEARTH] [--mode MODE] [--rounds N]

A round is a cold start (a function that was just deployed, or whose worker was just killed) with a right answer, and an end: kill -9 of the
worker, deleting the function, or a new revision. Native, Python and Node functions take turns. They are changed through the HTTP API, and
there are several lanes of rounds at once, each with functions of its own. Counted before and after, at rest: processes,
namespaces, descriptors of engine and spawner, mounts (of the host and of the spawner), cgroups, files of the state folder, memory of engine
and spawner. The last line is "N passed, N failed, N skipped".
"""
import argparse
import base64
import concurrent.futures
import io
import itertools
import json
import os
import pathlib
import random
import select
import signal
import sys
import time
import zipfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin")
    parser.add_argument("--mode", default="strict" if os.geteuid() == 0 else "user")
    parser.add_argument("--rounds", type=int)
    return parser.parse_args()


ARGUMENTS = parse()
if ARGUMENTS.bin:
    os.environ["HEARTH_BIN"] = str(pathlib.Path(ARGUMENTS.bin).resolve())

from harness import PATIENCE, SCALE, command_line, descendants, rss_kib, scaled, wait_until  # noqa: E402
from rig import Rig  # noqa: E402

# Memory may stay where it is not given back: the allocator's pages, SQLite's cache (2 MB), the histograms of functions. Beyond a tenth of the
# rounds, which fill those, it may grow by this much: a leak of 1 KiB a round is 9 MiB at 10,000 rounds, and 100 bytes are below it.
ENGINE_GROWTH_KIB = 4096
SPAWNER_GROWTH_KIB = 256
WARM_UP = 0.1
LONGEST_CALL_S = 10
FUNCTIONS = 12
SLOTS = 56 if SCALE >= 1 else 28  # limits.workers: more than the rounds have at once, and the memory budget allows them all
LANES = 3  # one thread each; a lane has every third function, so each has native ones and an interpreter
KILL_PATIENCE_S = 10
CHECK_EVERY = 250  # rounds between looks at descendants that should not pile up

FUNCTIONS_PATH = "/2015-03-31/functions"

PYTHON = "def handler(event, context):\n    return event['n'] + 1\n"
NODE = "exports.handler = async (event) => event.n + 1;\n"


def archive(entries):
    """A zip of {name: bytes}, base64. All may be executed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o100755 << 16
            file.writestr(info, content)
    return base64.b64encode(out.getvalue()).decode()


class Victims:
    """The functions that live and die: name -> (language, index). What belongs to one function is used by one lane."""

    def __init__(self, rig):
        self.rig, self.live, self.revisions = rig, {}, itertools.count()
        self.binary = rig.probe.read_bytes()

    def change(self, method, path, body, wanted):
        reply = self.rig.daemon.request(method, FUNCTIONS_PATH + path, body=body and json.dumps(body), timeout=60)
        assert reply.status == wanted, f"{method} {path}: {reply}"

    def deploy(self, index):
        """Creates the function, or gives it a new revision. Each archive has a file by which its worker's sandbox is known."""
        name = f"victim{index}"
        language = ("native", "native", "native", "python", "python", "node")[index % 6]
        settings = {"Environment": {"Variables": {"REVISION": str(next(self.revisions))}}}
        if name in self.live:
            return self.change("PUT", f"/{name}/configuration", settings, 200)
        runtime, handler, file, code = {"native": ("native", f"victim_{index}", f"victim_{index}", self.binary),
                                        "python": ("python3", "app.handler", "app.py", PYTHON),
                                        "node": ("nodejs", "index.handler", "index.cjs", NODE)}[language]
        settings |= {"FunctionName": name, "Role": "none", "Runtime": runtime, "Handler": handler, "Timeout": 10, "MemorySize": 128,
                     "Hearth": {"Concurrency": {"WorkersMax": 1}}, "Code": {"ZipFile": archive({file: code, f"{name}.mark": ""})}}
        self.change("POST", "", settings, 201)
        self.live[name] = (language, index)
        return None

    def call(self, name, number):
        """A cold call. A worker that was killed a moment ago may still get one, which is then lost: that is said so, and it is called again."""
        language, _ = self.live[name]
        for _ in range(20):
            reply = self.rig.daemon.invoke(name, ["kill_child"] if language == "native" else {"n": number}, timeout=60)
            if reply.status == 200 and "x-amz-function-error" not in reply.headers:
                wanted = b'["ok"]' if language == "native" else str(number + 1).encode()
                assert reply.body == wanted, f"{name}: {reply}"
                return
            assert reply.status in (200, 429), f"{name}: {reply}"
            time.sleep(0.05)
        raise AssertionError(f"{name} does not answer: {reply}")

    def workers(self, name):
        """The processes that see the function's code and run what its language runs."""
        language, index = self.live[name]
        word = {"native": f"victim_{index}", "python": "python3", "node": "node"}[language]
        marks = [(pid, pathlib.Path("/proc", str(pid), "root", "var/task", f"{name}.mark")) for pid in self.rig.daemon.worker_pids()]
        return [pid for pid, mark in marks if os.path.exists(mark) and word in command_line(pid)]

    def kill(self, name, chance):
        """kill -9 of the function's worker, or of one that its family is forked from. True: there was one."""
        found = self.workers(name)
        if not found:
            return False
        try:
            pidfd = os.pidfd_open(chance.choice(found))
        except ProcessLookupError:
            return False
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            assert select.select([pidfd], [], [], KILL_PATIENCE_S * PATIENCE)[0], f"{name}: a killed worker does not end"
        except ProcessLookupError:
            return False
        finally:
            os.close(pidfd)
        return True

    def delete(self, name):
        self.change("DELETE", f"/{name}", None, 204)
        del self.live[name]


def namespaces(pids):
    found = set()
    for pid in pids:
        for kind in ("net", "mnt", "pid", "ipc", "uts", "user", "cgroup"):
            try:
                found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
            except OSError:
                pass
    return len(found)


def cgroups(pid):
    """Folders below the cgroups that the daemon and what is below it are in, of all hierarchies."""
    roots = set()
    for one in [pid, *descendants(pid)]:
        try:
            lines = pathlib.Path(f"/proc/{one}/cgroup").read_text().splitlines()
        except OSError:
            continue
        roots |= {path.split("/slot")[0] for path in (line.split(":", 2)[2] for line in lines) if "hearth" in path}
    count = 0
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        if any(root.strip("/") in folder for root in roots):
            count += len(names)
    return count


def picture(rig):
    """Counts of everything, and sizes in KiB."""
    pids = descendants(rig.daemon.pid)
    spawner = rig.spawner
    return {
        "processes": len(pids), "namespaces": namespaces(pids),
        "descriptors of the engine": len(os.listdir(f"/proc/{rig.daemon.pid}/fd")), "descriptors of the spawner": len(os.listdir(f"/proc/{spawner}/fd")),
        "mounts of the spawner": len(pathlib.Path(f"/proc/{spawner}/mountinfo").read_text().splitlines()),
        "mounts of the host": sum(str(rig.daemon.work) in line for line in open("/proc/self/mounts", encoding="utf-8")),
        "cgroups": cgroups(rig.daemon.pid),
        "code folders": len([path for path in rig.daemon.state.glob("code/*")]) + len(list(rig.daemon.state.glob("staging/*"))),
        "temp files": len(os.listdir(rig.daemon.tmp)),
        "engine KiB": rss_kib(rig.daemon.pid), "spawner KiB": rss_kib(spawner)}


def at_rest(rig):
    """The picture when nothing moves any more: three times the same number of everything, the memory aside. Code without a function stays
    for the longest call; that is waited for."""
    wait_until(lambda: picture(rig)["code folders"] == 0, "the end of unused code", 10 * LONGEST_CALL_S)
    seen = []

    def calm():
        seen.append({key: value for key, value in picture(rig).items() if not key.endswith("KiB")})
        time.sleep(0.3)
        return len(seen) > 3 and seen[-1] == seen[-2] == seen[-3]
    wait_until(calm, "rest", 60)
    return picture(rig)


def lane_of_rounds(rig, victims, lane, count):
    """One lane's rounds; returns how many kills hit a worker."""
    chance, kills = random.Random(11 + lane), 0
    for number in range(count):
        index = chance.randrange(lane, FUNCTIONS, LANES)
        name = f"victim{index}"
        if name not in victims.live:
            victims.deploy(index)
        victims.call(name, number)
        kind = chance.random()
        if kind < 0.85:
            kills += victims.kill(name, chance)
        elif kind < 0.93:
            victims.delete(name)
        else:
            victims.deploy(index)
        if number % CHECK_EVERY == CHECK_EVERY - 1:
            processes = len(descendants(rig.daemon.pid))
            assert processes < 120, f"{processes} processes after {number + 1} rounds"
    return kills


def rounds(rig, victims, count):
    """Runs so many rounds in all lanes together. The kills among them have to be kills: nearly each of them finds its worker."""
    each = [count // LANES + (lane < count % LANES) for lane in range(LANES)]
    with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
        kills = sum(pool.map(lambda lane: lane_of_rounds(rig, victims, lane, each[lane]), range(LANES)))
    for name in list(victims.live):
        victims.delete(name)
    assert kills > count * 0.6, f"only {kills} of {count} rounds killed a worker"
    return kills


def use_many_slots(victims):
    """Every slot once: its control group is made when it is first used, and kept for the next worker."""
    for index in range(SLOTS + FUNCTIONS):
        victims.deploy(index)
        victims.call(f"victim{index}", index)
    for name in list(victims.live):
        victims.delete(name)


def differences(before, after):
    found = []
    for key, value in before.items():
        room = {"engine KiB": ENGINE_GROWTH_KIB, "spawner KiB": SPAWNER_GROWTH_KIB}.get(key)
        if room is None and value != after[key]:
            found.append(f"{key}: {value} before, {after[key]} after")
        if room is not None and after[key] > value + room:
            found.append(f"{key}: {value} before, {after[key]} after, at most {room} more are expected")
    return found


def main():
    count = ARGUMENTS.rounds or scaled(10_000, 20)
    began, problems = time.monotonic(), []
    # No more parked workers than at the start: their number follows the demand otherwise, and everything else is to be equal.
    config = {"limits": {**Rig.CONFIG["limits"], "workers": SLOTS, "workers_per_function": SLOTS, "timeout": f"{LONGEST_CALL_S}s"}, "pool": {"max_per_key": 2}}
    with Rig(ARGUMENTS.mode, config) as rig:
        rig.neighbour.close()  # its worker looks like those that are killed here
        rig.daemon.cli("delete", "neighbour", check=0)
        victims = Victims(rig)
        try:
            use_many_slots(victims)
            rounds(rig, victims, max(20, int(count * WARM_UP)))
            before = at_rest(rig)
            rounds_began = time.monotonic()
            kills = rounds(rig, victims, count)
            each_ms = (time.monotonic() - rounds_began) * 1000 / count
            after = at_rest(rig)
            problems = differences(before, after)
            print(f"{count} cold starts and ends, {kills} of them kills ({ARGUMENTS.mode}), in {time.monotonic() - began:.0f} s, {each_ms:.0f} ms a round: {after}")
        except (AssertionError, OSError) as error:
            problems = [str(error)]
    problems += rig.failures
    for problem in problems:
        print(f"failed hostile soak ({ARGUMENTS.mode}): {problem}")
    print(f"{0 if problems else 1} passed, {1 if problems else 0} failed, 0 skipped")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
