"""leftovers: kill and recycle, end to end: what a call leaves running is gone before the next one."""
import json
import unittest

from harness import DaemonTest, user_mode_problem, wait_until

FUNCTION = """
import os, time

def leave(count, forever):
    for _ in range(count):
        child = os.fork()
        if child == 0:
            os.setsid()
            if os.fork() != 0:
                os._exit(0)
            while True:
                if forever:
                    try:
                        if os.fork() != 0:
                            os._exit(0)  # a new process each time
                    except OSError:
                        pass
                time.sleep(0.001)
        os.waitpid(child, 0)

def others():
    # Beyond the worker, and init, which has the number 1. Init may not have reaped the dead yet: it stood still too.
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) in (1, os.getpid()):
            continue
        try:
            with open("/proc/%s/stat" % name) as stat:
                state = stat.read().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            found.append(name + state)
    return sorted(found)

def handler(event, context):
    leave(event.get("leave", 0), event.get("forever", False))
    if event.get("leave"):
        time.sleep(0.1)
    return {"worker": os.getpid(), "others": others(), "calls": handler.__dict__.setdefault("calls", []).append(1) or len(handler.calls)}
"""


def manifest(leftovers):
    return json.dumps({"runtime": "python3", "handler": "app.handler", "timeout": "20s", "memory": "128MB", "leftovers": leftovers, "zygote": "off",
                       "concurrency": {"workers_max": 1}})  # JSON is YAML


class Kill(DaemonTest):
    shared = False  # freezes are counted: no other function's may come between

    def setUp(self):
        if self.user and user_mode_problem():
            self.skipTest(user_mode_problem())
        self.daemon = self.own_daemon(user=self.user, config=self.config)

    def deploy(self, name, leftovers):
        self.daemon.deploy(name, {"app.py": FUNCTION}, manifest(leftovers))

    def at_rest(self, freezes):
        """The worker has stood still once more, so what it had left was looked at."""
        wait_until(lambda: self.daemon.metrics()["hearth_worker_freezes_total"] > freezes, "a worker that stands still", 10)

    def call(self, name, event=None):
        before = self.daemon.metrics()["hearth_worker_freezes_total"]
        reply = self.daemon.invoke(name, event or {}).json()
        self.at_rest(before)
        return reply

    def test_what_was_left_is_killed_and_the_worker_stays(self):
        self.deploy("kill", "kill")
        before = self.daemon.metrics()["hearth_leftovers_killed_total"]
        self.assertEqual(len(self.call("kill", {"leave": 3})["others"]), 3)
        reply = self.call("kill")
        self.assertEqual((reply["others"], reply["calls"]), ([], 2))
        self.assertEqual(self.daemon.metrics()["hearth_leftovers_killed_total"], before + 3)
        self.assertIn("3 processes left running after a call", self.daemon.cli("logs", "kill", check=0).stdout)

    def test_what_flees_from_process_to_process_is_ended(self):
        self.deploy("fleeing", "kill")
        self.assertTrue(self.call("fleeing", {"leave": 2, "forever": True})["worker"])
        self.assertEqual(self.daemon.invoke("fleeing").json()["others"], [])

    def test_a_worker_that_left_something_is_replaced(self):
        self.deploy("recycle", "recycle")
        self.assertEqual(self.call("recycle")["calls"], 1)
        self.assertEqual(self.call("recycle")["calls"], 2)  # nothing left: it stays
        before = self.daemon.metrics()['hearth_worker_recycles_total{reason="leftovers"}']
        self.assertEqual(len(self.daemon.invoke("recycle", {"leave": 1}).json()["others"]), 1)
        wait_until(lambda: self.daemon.metrics()['hearth_worker_recycles_total{reason="leftovers"}'] > before, "a worker that is replaced", 10)
        reply = self.daemon.invoke("recycle").json()
        self.assertEqual((reply["others"], reply["calls"]), ([], 1))

    def test_what_is_left_with_freeze_is_still_there(self):
        self.deploy("freeze", "freeze")
        self.call("freeze", {"leave": 2})
        reply = self.call("freeze")
        self.assertEqual((len(reply["others"]), reply["calls"]), (2, 2))


class KillInUserMode(Kill):
    user = True


class NeverFrozen(Kill):
    """Nothing is to stand still; what is to be cleared is cleared all the same."""
    config = {"limits": {"freeze_after": "0s"}}

    def test_what_is_left_with_freeze_is_still_there(self):
        self.deploy("run_on", "freeze")
        self.assertEqual(len(self.daemon.invoke("run_on", {"leave": 2}).json()["others"]), 2)
        self.assertEqual(len(self.daemon.invoke("run_on").json()["others"]), 2)
        self.assertEqual(self.daemon.metrics()["hearth_worker_freezes_total"], 0)


if __name__ == "__main__":
    unittest.main()
