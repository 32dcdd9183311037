"""Limits that hold for the whole of a sandbox, by control groups: memory, CPU, processes, freezing, and killing the tree.

The same cases run on this machine, whichever version it has, and in a guest with pure version 2.
"""
import json
import os
import pathlib
import shutil
import sys
import tempfile
import unittest

import uml
from harness import HEARTH, IS_ROOT, PATIENCE, DaemonTest, wait_until

HERE = pathlib.Path(__file__).resolve().parent
GUEST_SECONDS = 240
PIDS = 128

FUNCTION = r"""
import ctypes, mmap, os, signal, sys, time

def grow(megabytes):
    blocks = []
    for _ in range(megabytes):
        block = mmap.mmap(-1, 1 << 20)  # no malloc: what counts is the pages
        for at in range(0, 1 << 20, 4096):
            block[at] = 1
        blocks.append(block)
    return blocks

def in_children(count, megabytes):  # each holds its memory until all have theirs or are dead: their wait statuses
    may_end, all_done = os.pipe()
    children = {}
    for _ in range(count):
        grown, tell = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(all_done)
            held = grow(megabytes)
            os.write(tell, b"g")
            os.read(may_end, 1)
            os._exit(0)
        os.close(tell)
        children[child] = grown
    for grown in children.values():
        os.read(grown, 1)
        os.close(grown)
    os.close(all_done)
    os.close(may_end)
    return [os.waitpid(child, 0)[1] for child in children]

def handler(event, context):
    kind = event["kind"]
    if kind == "memory":
        return len(grow(event["mb"]))
    if kind == "children":
        return in_children(event["count"], event["mb"])
    if kind == "forks":
        made = 0
        try:
            for _ in range(5000):
                if os.fork() == 0:
                    time.sleep(60)
                    os._exit(0)
                made += 1
        except OSError as error:
            return {"made": made, "errno": error.errno}
        return {"made": made}
    if kind == "spin":
        began, before = time.monotonic(), time.process_time()
        while time.process_time() - before < event["cpu"]:
            pass
        return time.monotonic() - began
    if kind == "daemon":
        if os.fork() == 0:
            os.setsid()
            if os.fork() != 0:
                os._exit(0)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(1)
        if event.get("hang"):
            time.sleep(60)
        return os.getpid()
    if kind == "tick":  # a thread that counts while nobody calls
        import threading
        if not hasattr(handler, "ticks"):
            handler.ticks = 0
            def count():
                while True:
                    handler.ticks += 1
                    time.sleep(0.01)
            threading.Thread(target=count, daemon=True).start()
        return handler.ticks
    return "pong"
"""


def manifest(**more):
    return json.dumps({"runtime": "python3", "handler": "app.handler", "timeout": "30s", "memory": "128MB", **more})  # JSON is YAML


def layer_problem(daemon, name):
    layers = {layer["name"]: layer for layer in daemon.request("GET", "/hearth/v1/sandbox").json()["layers"]}
    layer = layers.get(name)
    if layer is None:
        return f"there is no layer {name}: {sorted(layers)}"
    return None if layer["state"] == "on" else layer["reason"]


@unittest.skipUnless(IS_ROOT, "control groups are for root here")
class CgroupLimits(DaemonTest):
    config = {"limits": {"pids": PIDS}}  # fewer than by default: the guest forks slowly

    @classmethod
    def deploy_functions(cls):
        cls.daemon.deploy("plain", {"app.py": FUNCTION}, manifest())
        cls.daemon.deploy("neighbour", {"app.py": FUNCTION}, manifest())
        cls.daemon.deploy("roomy", {"app.py": FUNCTION}, manifest(memory="1024MB", timeout="120s"))
        cls.daemon.deploy("half", {"app.py": FUNCTION}, manifest(cpu=0.25))
        cls.daemon.deploy("short", {"app.py": FUNCTION}, manifest(timeout="1s"))

    def need(self, layer):
        problem = layer_problem(self.daemon, layer)
        if problem:
            self.skipTest(f"{layer}: {problem}")

    def test_out_of_memory_is_reported_as_that(self):
        self.need("cgroup_memory")
        self.assert_function_error(self.daemon.invoke("plain", {"kind": "memory", "mb": 300}), "Runtime.OutOfMemory")
        self.assertEqual(self.daemon.invoke("plain", {"kind": "memory", "mb": 40}).json(), 40)

    def test_memory_is_that_of_all_processes_together(self):
        self.need("cgroup_memory")
        reply = self.daemon.invoke("plain", {"kind": "children", "count": 4, "mb": 60})
        if isinstance(reply.json(), dict):  # version 2 ends the sandbox as a whole
            self.assert_function_error(reply, "Runtime.OutOfMemory")
        else:  # version 1 kills processes one by one; the worker may live on
            self.assertIn(9, reply.json())
        self.assertEqual(self.daemon.invoke("neighbour", {"kind": "ping"}).json(), "pong")

    def test_a_fork_bomb_meets_the_limit(self):
        self.need("cgroup_pids")
        reply = self.daemon.invoke("roomy", {"kind": "forks"}, timeout=120).json()
        self.assertEqual(reply.get("errno"), 11, reply)
        self.assertLess(reply["made"], PIDS)
        self.assertEqual(self.daemon.invoke("neighbour", {"kind": "ping"}).json(), "pong")

    def test_the_cpu_share_holds(self):
        self.need("cgroup_cpu")
        self.daemon.invoke("half", {"kind": "ping"})
        elapsed = self.daemon.invoke("half", {"kind": "spin", "cpu": 0.5}, timeout=60).json()
        self.assertGreater(elapsed, 0.5 / 0.25 * 0.6)  # 0.5 s of CPU at a quarter takes 2 s; the first period is free

    def test_a_timeout_takes_the_whole_tree(self):
        self.assert_function_error(self.daemon.invoke("short", {"kind": "daemon", "hang": True}), "Sandbox.Timedout")
        self.assertEqual(self.daemon.invoke("neighbour", {"kind": "ping"}).json(), "pong")
        wait_until(lambda: not self.strays(), "the end of what the function left", 10 * PATIENCE)

    def strays(self):
        """Processes of sandboxes in a session of their own whose command is a worker's and which ignore SIGTERM."""
        found = []
        for status in pathlib.Path("/proc").glob("[0-9]*/status"):
            try:
                text = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
            except OSError:
                continue
            if text.get("Name") == "python3" and int(text.get("SigIgn", "0"), 16) & 1 << 14 and int(text["Uid"].split()[0]) >= 1 << 30:
                found.append(status.parent.name)
        return found

    def test_a_worker_without_calls_is_frozen(self):
        self.need("freezer")
        first = self.daemon.invoke("neighbour", {"kind": "tick"}).json()
        wait_until(lambda: self.daemon.metrics().get("hearth_worker_freezes_total", 0) >= 1, "a freeze", 10 * PATIENCE)
        frozen = self.daemon.metrics()["hearth_worker_freezes_total"]
        self.assertGreaterEqual(frozen, 1)
        self.assertGreaterEqual(self.daemon.invoke("neighbour", {"kind": "tick"}).json(), first)

    def test_groups_are_gone_with_the_daemon(self):
        daemon = self.own_daemon()
        daemon.deploy("plain", {"app.py": FUNCTION}, manifest())
        self.assertEqual(daemon.invoke("plain", {"kind": "ping"}).json(), "pong")
        spawner = daemon.spawner_pid()
        daemon.stop()
        left = [folder for folder, names, _ in os.walk("/sys/fs/cgroup") if f"hearth-{spawner}" in names]
        self.assertEqual(left, [])


class PureV2(unittest.TestCase):
    """The cases above in a guest, one record each."""

    def test_the_same_in_a_machine_with_version_2_only(self):
        problem = uml.problem()
        if problem:
            self.skipTest(problem)
        folder = pathlib.Path(tempfile.mkdtemp(prefix="hearth-uml-"))
        self.addCleanup(shutil.rmtree, folder)
        records = folder / "records.json"
        text = uml.run(folder, [sys.executable, HERE / "run.py", "--one", "test_cgroup", "--only", "CgroupLimits", "--out", records],
                       {"HEARTH_BIN": HEARTH, "TMPDIR": "/var/tmp", "HEARTH_TEST_PATIENCE": "6", "LANG": "C.UTF-8"}, GUEST_SECONDS)
        self.assertTrue(records.exists(), text)
        found = json.loads(records.read_text())
        self.assertGreaterEqual(len(found), 7, text)
        for name, outcome, _, detail in found:
            with self.subTest(name):
                self.assertEqual(outcome, "passed", detail)
