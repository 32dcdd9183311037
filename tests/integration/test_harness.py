"""The harness itself: whatever fails, no process and no folder of a test stays."""
import contextlib
import io
import os
import tempfile
import unittest
import unittest.mock

import harness
from harness import DaemonTest, descendants, still_alive


class FailsToDeploy(DaemonTest):
    """Not run by itself: setUpClass fails when the daemon is up and has a warm worker."""

    below = {}

    @classmethod
    def deploy_functions(cls):
        cls.daemon.python("echo", "def handler(event, context):\n    return event\n", "memory: 64MB\n")
        cls.daemon.invoke("echo", 1)
        cls.below.update(descendants(cls.daemon.pid))
        cls.below.update({cls.daemon.pid: harness.stat_of(cls.daemon.pid)[2]})
        raise RuntimeError("this deploy fails")

    def test_nothing(self):
        self.fail("setUpClass has failed, so that no test may run")


class FailsToStart(FailsToDeploy):
    config = {"no such key": 1}


class Harness(unittest.TestCase):
    def run_quietly(self, case):
        result = unittest.TextTestResult(io.StringIO(), False, 0)
        case.daemon = None
        with contextlib.redirect_stderr(io.StringIO()):  # the daemon's log, printed for people
            unittest.TestSuite([case("test_nothing")]).run(result)
        return result

    def test_a_failed_deploy_leaves_no_process_and_no_folder(self):
        result = self.run_quietly(FailsToDeploy)
        self.assertEqual((result.testsRun, len(result.errors)), (0, 1), result.errors)
        self.assertIn("this deploy fails", result.errors[0][1])
        self.assertGreaterEqual(len(FailsToDeploy.below), 3, "the daemon, its spawner, a worker")
        self.assertEqual(still_alive(FailsToDeploy.below), {})
        self.assertFalse(FailsToDeploy.daemon.work.exists())

    def test_a_daemon_that_refuses_to_start_leaves_no_folder(self):
        result = self.run_quietly(FailsToStart)
        self.assertEqual((result.testsRun, len(result.errors)), (0, 1), result.errors)
        self.assertIn("no such key", result.errors[0][1])
        self.assertFalse(FailsToStart.daemon.work.exists())

    def test_a_daemon_that_can_not_even_be_prepared_leaves_no_folder(self):
        with tempfile.TemporaryDirectory() as folder, unittest.mock.patch.object(tempfile, "tempdir", folder):
            with self.assertRaises(TypeError):
                harness.Daemon(config={"x": object()})
            self.assertEqual(os.listdir(folder), [])


def load_tests(loader, tests, pattern):
    """Only Harness: the other classes are what it runs."""
    return loader.loadTestsFromTestCase(Harness)


if __name__ == "__main__":
    unittest.main()
