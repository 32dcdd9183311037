"""What the cold rows compute from what they see: no daemon and no measured time here."""
import math
import mmap
import os
import pathlib
import socket
import subprocess
import sys
import threading
import unittest

import cold
import cold_kit as kit


class Overlaps(unittest.TestCase):
    def test_the_moment_at_which_enough_run_at_once(self):
        self.assertEqual(cold.executing_at_once([(1, 5), (2, 6), (3, 7)], 3), 3)
        self.assertEqual(cold.executing_at_once([(3, 7), (1, 5), (2, 6)], 2), 2)

    def test_calls_one_after_the_other_never_run_at_once(self):
        self.assertIsNone(cold.executing_at_once([(1, 2), (2, 3), (3, 4)], 2))
        self.assertIsNone(cold.executing_at_once([], 1))


class Burst(unittest.TestCase):
    """Counts are those of /metrics; replies and waits are made up."""

    def burst(self, starts, intervals):
        class Daemon:
            port = 0

            def deploy(self, folder): pass

            def delete(self, name): pass

            def metrics(self): return {f'hearth_function_worker_starts_total{{function="{name}"}}': count for name, count in starts.items()}

        class Call:
            sent = 10.0

            def __init__(self, *_):
                self.value = dict(zip(("start", "end"), intervals.pop()))

            def send(self): pass

            def reply(self): return self.value

        class Folders:
            def timed(self, *_): pass

        row = object.__new__(cold.ColdRows)
        row.folders = Folders()
        saved = kit.Call, kit.wait_at_rest, kit.wait_for
        kit.Call, kit.wait_at_rest, kit.wait_for = Call, lambda *_: None, lambda *_: None
        try:
            return row.burst(Daemon(), "python", "python3", "f")
        finally:
            kit.Call, kit.wait_at_rest, kit.wait_for = saved

    def test_the_functions_own_starts_count(self):
        intervals = [(10.0 + i / 1000, 10.25) for i in range(cold.BURST_CALLS)]
        took, started = self.burst({"f": 51, "other": 7}, intervals)
        self.assertAlmostEqual(took, cold.BURST_WORKERS - 1)
        self.assertEqual(started, 51)

    def test_workers_that_never_run_at_once_take_for_ever(self):
        took, _ = self.burst({"f": 50}, [(i, i + 0.5) for i in range(cold.BURST_CALLS)])
        self.assertTrue(math.isinf(took))


class Calls(unittest.TestCase):
    def answered(self, *parts):
        with socket.create_server(("127.0.0.1", 0)) as server:
            def serve():
                with server.accept()[0] as peer:
                    peer.recv(65536)
                    for part in parts:
                        peer.sendall(part)
            thread = threading.Thread(target=serve)
            thread.start()
            try:
                return kit.timed_call(server.getsockname()[1], "f", {"name": "world"})[1]
            finally:
                thread.join()

    def test_a_reply_in_pieces(self):
        self.assertEqual(self.answered(b"HTTP/1.1 200 OK\r\nContent-", b'Length: 8\r\n\r\n{"a":', b" 1}"), {"a": 1})

    def test_what_is_no_success_ends_the_bench(self):
        for reply in (b"HTTP/1.1 429 Too Many\r\nContent-Length: 2\r\n\r\n{}", b"HTTP/1.1 200 OK\r\nX-Amz-Function-Error: Unhandled\r\nContent-Length: 2\r\n\r\n{}",
                      b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"):
            with self.assertRaises(SystemExit):
                self.answered(reply)

    def test_a_program_that_fails_is_no_fresh_start(self):
        self.assertGreater(kit.fresh_start([sys.executable, "-c", "pass"]), 0)
        with self.assertRaises(SystemExit):
            kit.fresh_start([sys.executable, "-c", "raise SystemExit(3)"])


class Fixtures(unittest.TestCase):
    def setUp(self):
        self.folders = kit.Folders()
        self.addCleanup(self.folders.close)

    def test_the_many_modules_import_and_work(self):
        folder = self.folders.many_modules("many", "")
        self.assertEqual(len(list((folder / "heavy").glob("m*.py"))), kit.MODULES)
        text = "import app, heavy.m1999; assert app.handler({}, None)['end'] and heavy.m1999.use(1) == 1 * 2 + 1999"
        subprocess.run([sys.executable, "-B", "-c", text], cwd=folder, check=True)

    def test_functions_of_one_kind_differ(self):
        one, other = (self.folders.hello("python", f"f{i}", i) for i in range(2))
        self.assertNotEqual((one / "app.py").read_text(), (other / "app.py").read_text())

    def test_private_pages_are_what_a_process_has_alone(self):
        # A mapping of its own: what the allocator gives back at the same time would count against it.
        with mmap.mmap(-1, 8 << 20) as block:
            before = kit.private_kib(os.getpid())
            for page in range(0, len(block), mmap.PAGESIZE):
                block[page] = 1
            self.assertGreaterEqual(kit.private_kib(os.getpid()) - before, len(block) // 1024 * 0.9)


class Metrics(unittest.TestCase):
    def at_rest(self, **more):
        """Does the wait end at once? A wait that goes on would ask twice."""
        class Asked(Exception):
            pass

        class Daemon:
            answers = [{"hearth_workers": 3.0, 'hearth_workers_parked{runtime="python3"}': 2.0, 'hearth_function_workers{state="idle"}': 1.0, **more}]

            def metrics(self):
                if not self.answers:
                    raise Asked
                return self.answers.pop()
        try:
            kit.wait_at_rest(Daemon(), "python3", 2)
        except Asked:
            return False
        return True

    def test_a_daemon_is_at_rest_when_all_workers_are_parked_or_ready(self):
        self.assertTrue(self.at_rest())
        self.assertFalse(self.at_rest(hearth_workers=4.0))
        self.assertTrue(self.at_rest(hearth_workers=4.0, hearth_zygotes=1.0))
        self.assertTrue(self.at_rest(hearth_workers=5.0, hearth_zygotes=1.0, hearth_zygote_spares=1.0))
        self.assertFalse(self.at_rest(**{'hearth_workers_parked{runtime="python3"}': 1.0, "hearth_workers": 2.0}))

    def test_sums_over_labels(self):
        metrics = {'hearth_workers_parked{runtime="python3",memory="128"}': 2.0, 'hearth_workers_parked{runtime="python3",memory="256"}': 1.0,
                   'hearth_workers_parked{runtime="nodejs"}': 4.0, "hearth_workers": 9.0}
        self.assertEqual(kit.parked(metrics, "python3"), 3.0)
        self.assertEqual(kit.total(metrics, "hearth_workers"), 9.0)


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    unittest.main()
