"""A large deploy never holds up the loop: what it does in one turn, while calls are served, stays short. By the engine's own figures."""
import base64
import io
import json
import random
import threading
import time
import unittest
import zipfile

from harness import PATIENCE, DaemonTest

ANSWER = "def handler(event, context):\n    return event\n"
TURN_MAX = 0.005 * PATIENCE  # seconds
UPLOAD = 50 << 20
PART = 256 << 10
ATTEMPTS = 5


def large_deploy(name, seed):
    """The body of a CreateFunction request with 50 MB of code that doesn't compress."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        file.writestr("app.py", ANSWER)
        file.writestr("data", random.Random(seed).randbytes(UPLOAD))
    return json.dumps({"FunctionName": name, "Runtime": "python3", "Role": "r", "Handler": "app.handler",
                       "Code": {"ZipFile": base64.b64encode(out.getvalue()).decode()}}).encode()


class Parts:
    """A body that comes as fast as a good network brings it, and leaves the machine's cores to those who serve."""

    def __init__(self, body):
        self.body, self.at = memoryview(body), 0

    def read(self, _size):
        time.sleep(0.001)
        part = self.body[self.at:self.at + PART]
        self.at += len(part)
        return part


class LoopTurns(DaemonTest):
    shared = False

    def one_attempt(self, daemon, number):
        """Deploys 50 MB while calls are served. Returns the loop's longest turn meanwhile."""
        body = large_deploy(f"large{number}", number)
        deployed = threading.Event()
        calls = []

        def call():
            while not deployed.is_set():
                calls.append(daemon.invoke("small", len(calls)).status)
                time.sleep(0.002)
        caller = threading.Thread(target=call)
        before = daemon.metrics()  # the look that begins the measurement
        caller.start()
        try:
            reply = daemon.request("POST", "/2015-03-31/functions", body=Parts(body), headers={"Content-Length": str(len(body))}, timeout=300)
        finally:
            deployed.set()
            caller.join()
        after = daemon.metrics()
        self.assertEqual(reply.status, 201, reply)
        self.assertEqual(set(calls), {200})
        self.assertGreater(len(calls), 20)
        self.assertEqual(after["hearth_unpack_runs_total"] - before["hearth_unpack_runs_total"], 1)
        turns = after["hearth_loop_turn_seconds_count"] - before["hearth_loop_turn_seconds_count"]
        self.assertGreater(turns, 500)  # the upload alone has so many
        longest = after["hearth_loop_longest_turn_seconds"]
        self.assertGreater(longest, 0)
        self.assertGreaterEqual(after["hearth_loop_turn_max_seconds"], longest)
        return longest

    def test_a_50_mb_deploy_does_not_hold_up_the_loop(self):
        daemon = self.own_daemon()
        daemon.python("small", ANSWER)
        daemon.invoke("small", 0)
        longest = []
        # A turn's time holds what the kernel gave to other processes in its middle: the best of a few counts.
        for number in range(ATTEMPTS):
            longest.append(self.one_attempt(daemon, number))
            if longest[-1] < TURN_MAX:
                break
        print(f"longest turns of the loop during a 50 MB deploy: {', '.join(f'{turn * 1000:.2f} ms' for turn in longest)}")
        self.assertLess(min(longest), TURN_MAX)


if __name__ == "__main__":
    unittest.main()
