"""Zygotes: later workers of a function whose code loads slowly are forked, each one is its own, and what goes wrong costs time only."""
import base64
import concurrent.futures
import time
import unittest

from harness import PATIENCE, DaemonTest, wait_until

INIT_S = 0.4
HEAD = f"""
import json, os, random, sys, threading, time
time.sleep({INIT_S})  # a heavy import
BORN = os.urandom(8).hex()
"""
HANDLER = HEAD + """
def handler(event, context):
    if event.get("print"):
        print(event["print"])
        sys.stdout.flush()
        os.write(1, (event["print"] + " directly\\n").encode())
    if "exit" in event:
        os._exit(event["exit"])
    time.sleep(event.get("seconds", 0))
    return {"pid": os.getpid(), "born": BORN, "random": random.random(), "parent": os.getppid()}
"""
THREAD = HEAD + """
threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
def handler(event, context):
    time.sleep(event.get("seconds", 0))
    return BORN
"""
HOOKS = HEAD + """
from snapshot_restore_py import register_after_restore
import hearth
SEEN = []
hearth.before_snapshot(SEEN.append, "before")
@register_after_restore
def restored():
    if os.path.exists("/tmp/break"):
        raise ValueError("no")
    SEEN.append("after")
def handler(event, context):
    if event.get("break"):
        open("/tmp/break", "w").close()
    time.sleep(event.get("seconds", 0))
    return SEEN
"""


def together(daemon, name, count, event):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: daemon.invoke(name, event, timeout=60), range(count)))


class Zygotes(DaemonTest):
    config = {"pool": {"python3": 1, "nodejs": 0, "idle_timeout": "2s"}}

    def deploy(self, name, code=HANDLER, manifest="timeout: 20s\nconcurrency: {workers_max: 3}\n"):
        self.daemon.python(name, code, "memory: 64MB\n" + manifest)

    def with_zygote(self, name, *more):
        """Deploys it, calls it once and waits until its zygote can be forked."""
        before = self.daemon.metrics()["hearth_zygotes"]
        self.deploy(name, *more)
        reply = self.daemon.invoke(name)
        self.assertEqual(reply.status, 200, reply)
        wait_until(lambda: self.daemon.metrics()["hearth_zygotes"] > before, "a zygote", 20 * PATIENCE)
        return reply.json()

    def test_later_workers_are_forked_and_each_is_its_own(self):
        first = self.with_zygote("wide")
        replies = [reply.json() for reply in together(self.daemon, "wide", 9, {"seconds": 0.5})]
        forked = {reply["pid"]: reply for reply in replies if reply["born"] != first["born"]}
        self.assertTrue(forked, replies)
        self.assertEqual(len({reply["born"] for reply in forked.values()}), 1)  # of one zygote
        self.assertEqual(len({reply["random"] for reply in replies}), 9)
        self.assertGreaterEqual(self.daemon.metrics()["hearth_zygote_forks_total"], len(forked))

    def test_after_idling_to_nothing_a_start_is_a_fork(self):
        self.with_zygote("idle")
        wait_until(lambda: self.daemon.metrics()['hearth_function_workers{function="idle",state="idle"}'] == 0, "no worker", 20 * PATIENCE)
        began = time.monotonic()
        reply = self.daemon.invoke("idle")
        took = time.monotonic() - began
        self.assertEqual(reply.status, 200, reply)
        self.assertLess(took, INIT_S * (0.5 if PATIENCE == 1 else 1))

    def test_the_next_worker_waits_already(self):
        spares, used = self.daemon.metrics()["hearth_zygote_spares"], 'hearth_zygote_spares_total{outcome="used"}'
        self.with_zygote("ahead")
        wait_until(lambda: self.daemon.metrics()['hearth_function_workers{function="ahead",state="idle"}'] == 0, "no worker", 20 * PATIENCE)
        wait_until(lambda: self.daemon.metrics()["hearth_zygote_spares"] > spares, "a spare", 20 * PATIENCE)
        before = self.daemon.metrics()
        reply = self.daemon.invoke("ahead", {}, {"X-Amz-Log-Type": "Tail"})
        self.assertEqual(reply.status, 200, reply)
        self.assertIn("\tStart: zygote\t", base64.b64decode(reply.headers["x-amz-log-result"]).decode())
        after = self.daemon.metrics()
        way = 'hearth_cold_starts_total{runtime="python3",way="zygote"}'
        self.assertEqual((after[used] - before[used], after[way] - before[way]), (1, 1))
        wait_until(lambda: self.daemon.metrics()["hearth_zygote_spares"] > spares, "the next one", 20 * PATIENCE)

    def test_logs_are_those_of_the_call(self):
        self.with_zygote("logs")

        def say(number):
            reply = self.daemon.invoke("logs", {"print": f"call {number}", "seconds": 0.3}, {"X-Amz-Log-Type": "Tail"}, 60)
            return number, base64.b64decode(reply.headers["x-amz-log-result"]).decode()

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            for number, tail in pool.map(say, range(3)):
                said = sorted(line for line in tail.splitlines() if line.startswith("call"))
                self.assertEqual(said, [f"call {number}", f"call {number} directly"])

    def test_the_end_of_a_forked_worker_is_told_with_its_status(self):
        self.with_zygote("exits")
        wait_until(lambda: self.daemon.metrics()['hearth_function_workers{function="exits",state="idle"}'] == 0, "no worker", 20 * PATIENCE)
        reply = self.daemon.invoke("exits", {"exit": 7})
        self.assertIn("exit status 7", reply.text)
        self.assertEqual(self.daemon.invoke("exits").status, 200)

    def test_a_function_may_opt_out(self):
        self.deploy("plain", HANDLER, "timeout: 20s\nzygote: off\nconcurrency: {workers_max: 3}\n")
        starts = self.daemon.metrics()["hearth_zygote_starts_total"]
        born = {reply.json()["born"] for reply in together(self.daemon, "plain", 3, {"seconds": 1})}
        time.sleep(0.5)
        self.assertEqual(self.daemon.metrics()["hearth_zygote_starts_total"], starts)
        self.assertGreater(len(born), 1)

    def test_code_that_starts_a_thread_is_never_forked(self):
        key = 'hearth_zygote_failures_total{reason="refused"}'
        refusals = self.daemon.metrics()[key]
        self.deploy("threads", THREAD)
        self.assertEqual(self.daemon.invoke("threads").status, 200)
        wait_until(lambda: self.daemon.metrics()[key] > refusals, "a refusal", 20 * PATIENCE)
        born = {reply.json() for reply in together(self.daemon, "threads", 3, {"seconds": 1})}
        self.assertGreater(len(born), 1)
        self.assertIn("there are 2 threads", self.daemon.log())

    def test_hooks(self):
        self.assertEqual(self.with_zygote("hooks", HOOKS), [])
        replies = together(self.daemon, "hooks", 3, {"seconds": 0.5})
        self.assertIn(["before", "after"], [reply.json() for reply in replies])

    def test_a_new_revision_has_its_own(self):
        first = self.with_zygote("changes")
        zygotes = self.daemon.metrics()["hearth_zygotes"]
        self.deploy("changes", HANDLER + "\n# other\n")
        wait_until(lambda: self.daemon.metrics()["hearth_zygotes"] == zygotes - 1, "the old one's end", 20 * PATIENCE)
        self.assertNotEqual(self.daemon.invoke("changes").json()["born"], first["born"])


class InUserMode(Zygotes):
    user = True


if __name__ == "__main__":
    unittest.main()
