"""The pool: scaling, bounded queues, refusals with a reason, idle workers, crash loops, the memory budget."""
import concurrent.futures
import math
import time
import unittest

from harness import INVOKE, PATIENCE, DaemonTest, load, load_result, wait_until

PID = "import os, time\ndef handler(event, context):\n    time.sleep(event.get('seconds', 0))\n    return os.stat('/proc/self/ns/pid').st_ino\n"


def together(daemon, name, count, event):
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: daemon.invoke(name, event, timeout=60), range(count)))


class Pool(DaemonTest):
    config = {"pool": {"python3": 2, "nodejs": 1, "idle_timeout": "2s"}, "limits": {"workers": 12, "workers_per_function": 12}}

    def test_workers_are_added_as_calls_wait(self):
        self.daemon.python("wide", PID, "timeout: 30s\nmemory: 64MB\nconcurrency: {workers_max: 4}\n")
        workers = {reply.json() for reply in together(self.daemon, "wide", 16, {"seconds": 0.3})}
        self.assertTrue(2 <= len(workers) <= 4, workers)

    def test_one_warm_worker_is_used_again(self):
        self.daemon.python("warm", PID, "memory: 64MB\n")
        self.assertEqual(len({self.daemon.invoke("warm").json() for _ in range(10)}), 1)

    def test_two_functions_never_share_a_worker(self):
        self.daemon.python("first", PID, "memory: 64MB\n")
        self.daemon.python("second", PID, "memory: 64MB\n")
        seen = {name: {self.daemon.invoke(name).json() for _ in range(5)} for name in ("first", "second")}
        self.assertEqual(seen["first"] & seen["second"], set())

    def test_a_burst_on_a_cold_function_does_not_overspawn(self):
        self.daemon.python("burst", PID, "timeout: 20s\nmemory: 64MB\nconcurrency: {workers_max: 8}\n")
        replies = together(self.daemon, "burst", 40, {})
        self.assertEqual({reply.status for reply in replies}, {200})
        self.assertLessEqual(len({reply.json() for reply in replies}), 8)

    def test_a_full_queue_refuses_with_reason_and_time(self):
        self.daemon.python("narrow", PID, "timeout: 30s\nmemory: 64MB\nconcurrency: {workers_max: 1, queue: 3}\n")
        self.daemon.invoke("narrow")
        replies = together(self.daemon, "narrow", 12, {"seconds": 0.5})
        refused = [reply for reply in replies if reply.status == 429]
        self.assertTrue(refused, replies)
        self.assertEqual({reply.status for reply in replies}, {200, 429})
        self.assertGreaterEqual(sum(reply.status == 200 for reply in replies), 4)
        for reply in refused:
            self.assert_refused(reply, 429, "TooManyRequestsException")
            self.assertGreaterEqual(int(reply.headers["retry-after"]), 1)
            self.assertTrue(reply.json()["Reason"], reply)
            self.assertTrue(reply.json()["message"], reply)

    def test_waiting_calls_are_served_in_order(self):
        self.daemon.python("order", "seen = []\ndef handler(event, context):\n    import time; time.sleep(0.02)\n    seen.append(event)\n    return seen\n",
                           "timeout: 30s\nmemory: 64MB\nconcurrency: {workers_max: 1}\n")
        self.daemon.invoke("order", -1)
        peers = []
        for number in range(10):
            peer = self.daemon.connect(30)
            body = str(number).encode()
            peer.sendall(f"POST {INVOKE.format('order')} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            time.sleep(0.01)
            peers.append(peer)
        for peer in peers:
            peer.recv(65536)
            peer.close()
        self.assertEqual(self.daemon.invoke("order", 10).json(), list(range(-1, 11)))

    def test_a_slow_call_does_not_hold_the_calls_behind_it_while_a_worker_is_free(self):
        self.daemon.python("mixed", PID, "timeout: 30s\nmemory: 64MB\nconcurrency: {workers_max: 3}\n")
        together(self.daemon, "mixed", 3, {"seconds": 0.2})
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            slow = pool.submit(self.daemon.invoke, "mixed", {"seconds": 2})
            time.sleep(0.1)
            began = time.monotonic()
            for _ in range(10):
                self.assertEqual(self.daemon.invoke("mixed").status, 200)
            self.assertLess(time.monotonic() - began, 1.5 * PATIENCE)
            self.assertEqual(slow.result().status, 200)

    def test_a_prefetched_call_is_called_back_from_a_worker_that_stalls(self):
        self.daemon.python("stall", "import time\ndef handler(event, context):\n    time.sleep(event['seconds'])\n    return 1\n",
                           "timeout: 30s\nmemory: 64MB\nconcurrency: {workers_max: 2}\n")
        for _ in range(50):
            self.daemon.invoke("stall", {"seconds": 0})
        together(self.daemon, "stall", 4, {"seconds": 0.1})
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            slow = pool.submit(self.daemon.invoke, "stall", {"seconds": 3})
            began = time.monotonic()
            quick = list(pool.map(lambda _: self.daemon.invoke("stall", {"seconds": 0.01}), range(10)))
            took = time.monotonic() - began
            self.assertEqual({reply.status for reply in quick}, {200})
            self.assertLess(took, 2.5 * PATIENCE, "calls waited behind a stalled worker")
            slow.result()

    def test_idle_workers_are_reaped(self):
        self.daemon.python("idle", PID, "memory: 64MB\n")
        first = self.daemon.invoke("idle").json()
        wait_until(lambda: self.daemon.invoke("idle").json() != first if not time.sleep(3) else False, "a new worker after the idle time", 30)

    def test_workers_min_keeps_workers(self):
        self.daemon.python("kept", PID, "memory: 64MB\nconcurrency: {workers_min: 1, workers_max: 2}\n")
        first = self.daemon.invoke("kept").json()
        time.sleep(3.5)
        self.assertEqual(self.daemon.invoke("kept").json(), first)

    def assert_names_the_cause(self, reply, error, error_type):
        self.assert_function_error(reply, error_type, "exit status 1")
        self.assertEqual(reply.headers.get("x-hearth-error"), error, reply)

    def assert_repaired_at_once(self, name):
        """What an older revision did holds no call of the new one back."""
        self.daemon.python(name, "def handler(event, context):\n    return 'repaired'\n", "memory: 64MB\n")
        began = time.monotonic()
        reply = self.daemon.invoke(name)
        self.assertEqual((reply.status, reply.headers.get("x-amz-function-error"), reply.json()), (200, None, "repaired"), reply)
        self.assertLess(time.monotonic() - began, 1 * PATIENCE)

    def test_a_function_that_does_not_load_backs_off_and_each_caller_hears_why(self):
        self.daemon.python("broken", "import os\nos.write(1, b'loading\\n')\nos._exit(1)\n", "memory: 64MB\n")
        began, took_each = time.monotonic(), []
        while time.monotonic() - began < 2.5:
            sent = time.monotonic()
            self.assert_names_the_cause(self.daemon.invoke("broken"), "init_failed", "Runtime.InitError")
            took_each.append(time.monotonic() - sent)
            time.sleep(0.01)
        took = time.monotonic() - began
        loads = self.daemon.request("GET", "/hearth/v1/functions/broken/logs").text.count("loading")
        # Tries after 0.1 s, 0.2 s, 0.4 s ...: in between a call fails at once with the last try's cause.
        most = 1 + int(math.log2(took / 0.1 + 1))
        calls = len(took_each)
        self.assertGreater(calls, 3 * most)
        self.assertTrue(2 <= loads <= most, f"{loads} loads in {took:.1f} s for {calls} calls")
        self.assertLess(sorted(took_each)[calls // 2], 0.1 * PATIENCE)  # most wait for no try; the machine may hold one up
        self.assert_repaired_at_once("broken")

    def test_a_function_that_crashes_in_each_call_backs_off_and_each_caller_hears_why(self):
        self.daemon.python("loop", "import os\ndef handler(event, context):\n    os._exit(1)\n", "timeout: 10s\nmemory: 64MB\n")
        began = time.monotonic()
        for _ in range(12):
            self.assert_names_the_cause(self.daemon.invoke("loop"), "worker_lost", "Runtime.ExitError")
        # Five crashes in a row are free; then the next worker is started after 10 ms, 20 ms ... 640 ms, and the call waits for it.
        self.assertGreater(time.monotonic() - began, 0.01 + 0.02 + 0.04 + 0.08 + 0.16 + 0.32 + 0.64)
        self.assert_repaired_at_once("loop")

    def test_deleting_under_load_ends_every_call(self):
        self.daemon.python("doomed", PID, "timeout: 10s\nmemory: 64MB\nconcurrency: {workers_max: 2}\n")
        self.daemon.invoke("doomed")
        running = load(self.daemon.port, calls=2000, connections=16, kinds=[("doomed", 1, INVOKE.format("doomed"), "{}", "")])
        time.sleep(0.2)
        self.daemon.cli("delete", "doomed", check=0)
        result = load_result(running)["calls"]["doomed"]
        self.assertEqual((result["closed"], result["timed_out"], result["malformed"]), (0, 0, 0), result)
        self.assertLessEqual(set(result["status"]), {"200", "404"}, result)


class MemoryBudget(DaemonTest):
    config = {"limits": {"memory_budget": "256MB"}, "pool": {"python3": 0, "nodejs": 0}}

    def test_workers_above_the_budget_are_not_started(self):
        self.daemon.python("hungry", PID, "timeout: 20s\nmemory: 128MB\nconcurrency: {workers_max: 8}\n")
        replies = together(self.daemon, "hungry", 16, {"seconds": 0.2})
        self.assertLessEqual({reply.status for reply in replies}, {200, 429}, replies)
        self.assertLessEqual(len({reply.json() for reply in replies if reply.status == 200}), 2)
        self.assertTrue(any(reply.status == 200 for reply in replies))

    def test_a_function_larger_than_the_budget_is_told_why(self):
        done = self.daemon.cli("deploy", self.daemon.folder("giant", {"app.py": PID}, "memory: 512MB\n"))
        if done.returncode == 0:
            reply = self.daemon.invoke("giant", timeout=30)
            self.assertEqual(reply.status, 429, reply)
            self.assertIn("memory", reply.text.lower())


if __name__ == "__main__":
    unittest.main()
