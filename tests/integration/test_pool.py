"""The pool: scaling, bounded queues, refusals with a reason, idle workers, crash loops, the memory budget."""
import concurrent.futures
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

    def test_a_crash_loop_backs_off_and_says_so(self):
        self.daemon.python("loop", "import os\nos._exit(1)\n", "memory: 64MB\n")
        before = self.daemon.metrics()
        replies = [self.daemon.invoke("loop", timeout=60) for _ in range(40)]
        for reply in replies:  # the cause each time, or a refusal that says when to come back
            if reply.status == 429:
                self.assertTrue(reply.headers.get("retry-after"), reply)
            else:
                self.assertEqual((reply.status, reply.headers.get("x-amz-function-error")), (200, "Unhandled"), reply)
        started = self.daemon.metrics()["hearth_worker_starts_total"] - before["hearth_worker_starts_total"]
        self.assertLess(started, 25, "40 calls did not start a worker each")
        self.daemon.python("loop", PID, "memory: 64MB\n")
        wait_until(lambda: self.daemon.invoke("loop").status == 200, "a repaired function", 20)

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
