"""Mixed load with misbehaving neighbours, and many more calls than a queue takes."""
import os
import threading
import time
import unittest

from harness import INVOKE, SCALE, DaemonTest, load, load_result, rss_kib, scaled, wait_until

GOOD = "def handler(event, context):\n    return event\n"
GOOD_JS = "exports.handler = async (event) => event;"
BAD = {
    "crash": "import os\ndef handler(event, context):\n    os._exit(3)\n",
    "hang": "import time\ndef handler(event, context):\n    time.sleep(600)\n",
    "flood": "def handler(event, context):\n    for _ in range(3000): print('f' * 1000)\n    return 'flooded'\n",
    "garbage": "import os, time\ndef handler(event, context):\n    os.write(3, b'garbage' * 100)\n    time.sleep(600)\n",
}


class OneCpu(DaemonTest):
    """On one CPU calls are gathered while more of them wait: fewer wake-ups of the worker, and no call that waits for another to come."""
    shared = False

    def test_calls_are_gathered_and_none_waits_for_more(self):
        all_of_them = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(all_of_them)})
        try:
            daemon = self.own_daemon()
        finally:
            os.sched_setaffinity(0, all_of_them)
        daemon.node("one", GOOD_JS, "timeout: 30s\nconcurrency: {workers_max: 1, queue: 1000}\n")
        kinds = [("one", 1, INVOKE.format("one"), '{"n":@N@}', "@N@}")]
        for connections in (1, 9, 64):
            calls = scaled(20_000 * connections // 9, 1_000)
            result = load_result(load(daemon.port, calls=calls, connections=connections, kinds=kinds, timeout_ms=60000))["calls"]["one"]
            self.assertEqual((result["status"], result["wrong_body"], result["closed"], result["timed_out"]), ({"200": calls}, 0, 0, 0), result)
        began = time.monotonic()
        for n in range(20):
            self.assertEqual(daemon.invoke("one", {"n": n}).json(), {"n": n})
        self.assertLess(time.monotonic() - began, 10)


class MixedLoad(DaemonTest):
    def test_one_call_in_twenty_goes_to_functions_that_misbehave(self):
        self.daemon.python("good_py", GOOD, "timeout: 30s\nmemory: 64MB\nconcurrency: {workers_max: 3, queue: 1000}\n")
        self.daemon.node("good_js", GOOD_JS, "timeout: 30s\nconcurrency: {workers_max: 2, queue: 1000}\n")
        for name, code in BAD.items():
            self.daemon.python(name, code, "timeout: 1s\nmemory: 64MB\nconcurrency: {workers_max: 2, queue: 10}\n")
        kinds = [(name, 38, INVOKE.format(name), '{"n":@N@}', "@N@}") for name in ("good_py", "good_js")]
        kinds += [(name, 1, INVOKE.format(name), "{}", "") for name in BAD]
        for name in ("good_py", "good_js"):
            self.daemon.invoke(name, {})
        calls = load_result(load(self.daemon.port, seconds=scaled(60, 6), connections=32, kinds=kinds, timeout_ms=60000))["calls"]

        for name in ("good_py", "good_js"):
            result = calls[name]
            self.assertEqual(result["status"], {"200": result["sent"]}, (name, result))
            self.assertEqual((result["function_errors"], result["wrong_body"]), ({}, 0), (name, result))
            self.assertGreater(result["sent"], 100, result)
        causes = {"crash": ("Runtime.ExitError", "Runtime.WorkerLost"), "hang": ("Sandbox.Timedout",), "flood": (),
                  "garbage": ("Runtime.ProtocolViolation", "Runtime.WorkerLost", "Runtime.ExitError")}
        for name, allowed in causes.items():
            result = calls[name]
            self.assertEqual((result["closed"], result["timed_out"], result["malformed"]), (0, 0, 0), (name, result))
            self.assertLessEqual(set(result["status"]), {"200", "429"}, (name, result))
            self.assertEqual(result["refused_without_reason"], 0, (name, result))
            if name == "crash" or name == "hang":
                self.assertEqual(sum(result["function_errors"].values()), result["status"].get("200", 0), (name, result))
            for error_type in result["function_errors"]:
                self.assertIn(error_type, (*allowed, "Sandbox.Timedout"), (name, result))


class ManyCalls(DaemonTest):
    config = {"limits": {"queue": 1000}}

    def test_every_call_ends_with_a_reply_or_a_refusal_and_memory_is_bounded(self):
        self.daemon.python("hello", "def handler(event, context):\n    return {'message': 'Hello ' + event['name'], 'n': event['n']}\n",
                           "memory: 64MB\ntimeout: 60s\nconcurrency: {workers_max: 2, queue: 1000}\n")
        self.daemon.node("hello_js", "exports.handler = async (event) => ({ message: 'Hello ' + event.name, n: event.n });",
                         "timeout: 60s\nconcurrency: {workers_max: 2, queue: 1000}\n")
        peak = [0]
        stop = threading.Event()

        def watch():
            while not stop.wait(0.05):
                peak[0] = max(peak[0], rss_kib(self.daemon.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            for name in ("hello", "hello_js"):
                kinds = [(name, 1, INVOKE.format(name), '{"name":"world","n":@N@}', "@N@}")]
                result = load_result(load(self.daemon.port, calls=scaled(100_000), connections=512, kinds=kinds, timeout_ms=90000))["calls"][name]
                self.check(result)
        finally:
            stop.set()
            watcher.join()
        # 512 connections, 1,000 queued calls of 40 bytes, the slabs of 20,000 calls: far below 200 MiB.
        self.assertLess(peak[0], 200 * 1024, "KiB of resident memory")

    def check(self, result):
        self.assertEqual(result["sent"], scaled(100_000))
        self.assertEqual((result["closed"], result["timed_out"], result["malformed"], result["wrong_body"]), (0, 0, 0, 0), result)
        self.assertEqual(result["status"].get("200", 0) + result["status"].get("429", 0), result["sent"], result)
        self.assertEqual((result["refused_without_reason"], result["function_errors"]), (0, {}), result)

    def test_a_short_queue_refuses_and_forgets_nothing(self):
        self.daemon.python("slow", "import time\ndef handler(event, context):\n    time.sleep(0.01)\n    return event['n']\n",
                           "memory: 64MB\ntimeout: 60s\nconcurrency: {workers_max: 2, queue: 50}\n")
        self.daemon.invoke("slow", {"n": 1})
        kinds = [("slow", 1, INVOKE.format("slow"), '{"n":@N@}', "@N@")]
        result = load_result(load(self.daemon.port, calls=scaled(20_000), connections=256, kinds=kinds, timeout_ms=60000))["calls"]["slow"]
        self.assertEqual(result["status"].get("200", 0) + result["status"].get("429", 0), result["sent"], result)
        self.assertGreater(result["status"].get("429", 0), 0, result)
        self.assertEqual((result["refused_without_reason"], result["wrong_body"]), (0, 0), result)

    def test_memory_does_not_grow_from_round_to_round(self):
        self.daemon.python("steady", GOOD, "memory: 64MB\nconcurrency: {workers_max: 1}\n")
        kinds = [("steady", 1, INVOKE.format("steady"), '{"n":@N@}', "@N@")]

        def after_a_round():
            load_result(load(self.daemon.port, calls=scaled(40_000), connections=32, kinds=kinds))
            return rss_kib(self.daemon.pid)

        for _ in range(2):
            after_a_round()
        first = after_a_round()
        for _ in range(4):
            last = after_a_round()
        self.assertLess(last - first, 4096, f"KiB in 4 rounds of {scaled(40_000)} calls")

    def test_connections_that_come_and_go(self):
        before = self.open_files()
        for _ in range(scaled(4000, 200)):
            with self.daemon.connect():
                pass
        wait_until(lambda: self.open_files() <= before + 4, "the end of the connections", 10)

    def open_files(self):
        return len(os.listdir(f"/proc/{self.daemon.pid}/fd"))


class Soak(DaemonTest):
    def parked(self):
        """Workers that wait for any function: their number follows the demand."""
        return sum(value for key, value in self.daemon.metrics().items() if key.startswith("hearth_workers_parked"))

    def test_deploy_call_delete_in_circles_leaves_nothing(self):
        if SCALE < 0.05:
            self.skipTest("the scale is below 1/20")
        names = [f"circle_{n}" for n in range(3)]
        counts = []
        for round_number in range(scaled(60, 4)):
            for name in names:
                self.daemon.python(name, f"def handler(event, context):\n    return {round_number}\n", "memory: 64MB\n")
                self.assertEqual(self.daemon.invoke(name).json(), round_number)
                self.daemon.cli("delete", name, check=0)
            time.sleep(0.2)
            counts.append(len(self.daemon.worker_pids()) - self.parked())
        self.assertLessEqual(counts[-1], max(counts[:2]) + 3, counts)


if __name__ == "__main__":
    unittest.main()
