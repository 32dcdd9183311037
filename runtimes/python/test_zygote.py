"""Zygotes: what they refuse to copy, what a child has of its own, and that a child passes as an ordinary worker."""
import os
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "testing"))
import fake_zygote  # noqa: E402
import test_worker  # noqa: E402
from fake_engine import ERROR, FORKED, HELLO, INIT_ERROR, PING, PONG, READY, STOP, WorkerGone, frame, golden  # noqa: E402
from fake_zygote import Fork, Mould  # noqa: E402

ROOT = HERE / "testdata" / "zygote"
VERSION = subprocess.run([test_worker.PYTHON, "-c", "print('%d.%d.%d' % __import__('sys').version_info[:3])"], stdout=subprocess.PIPE, check=True,
                         encoding="ascii").stdout.strip()
ATFORK_LIBRARY = r"""
#include <pthread.h>
#include <unistd.h>
static pthread_t helper;
static void *wait_for_end(void *unused) { pause(); return unused; }
static void end_helper(void) { if (helper != 0) { pthread_cancel(helper); pthread_join(helper, 0); helper = 0; } }
void start_helper(void) { pthread_atfork(end_helper, 0, 0); pthread_create(&helper, 0, wait_for_end, 0); }
"""


def json_of(got):
    import json
    return json.loads(got.payload.decode())


class ZygoteCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        fake_zygote.become_subreaper()

    def mould(self, leave="", handler="mould.handler", root=ROOT, **environment):
        zygote = Mould(test_worker.Worker.command)
        self.addCleanup(zygote.__exit__)
        answer = zygote.mould(root, handler, environment=dict(environment, LEAVE=leave, PATH="/usr/bin:/bin"))
        return zygote, answer

    def zygote(self, *more, **environment):
        zygote, answer = self.mould(*more, **environment)
        self.assertEqual(answer.flags, 0, answer.payload)
        return zygote

    def child(self, zygote, *more):
        child = zygote.fork(*more)
        self.addCleanup(child.__exit__)
        return child

    def scratch(self, content=b""):
        file = tempfile.NamedTemporaryFile()
        self.addCleanup(file.close)
        file.write(content)
        file.flush()
        return file.name


class Refusals(ZygoteCase):
    def refused(self, leave, kind="Runtime.NotForkable", **environment):
        zygote, answer = self.mould(leave, **environment)
        self.assertEqual(answer.flags, ERROR, leave)
        error = json_of(answer)
        self.assertEqual(error["errorType"], kind)
        self.assertEqual(zygote.exit_status(), 0)
        return error["errorMessage"]

    def test_what_a_child_would_lose_or_share_is_named(self):
        self.assertEqual(self.refused("thread"), "there are 2 threads")
        self.assertRegex(self.refused("socket"), r"descriptor \d+ is open: socket:\[\d+\]")
        self.assertRegex(self.refused("pipe"), r"descriptor \d+ is open: pipe:\[\d+\]")
        self.assertRegex(self.refused("epoll"), r"descriptor \d+ is open: anon_inode:\[eventpoll\]")
        self.assertEqual(self.refused("child"), "there are child processes")
        self.assertEqual(self.refused("timer"), "a timer runs: ITIMER_REAL")
        self.assertIn("memory that can be written is shared: ", self.refused("shared"))
        name = self.scratch()
        self.assertRegex(self.refused("writing", SCRATCH=name), r"descriptor \d+ is open for writing: " + name)

    def test_a_hook_that_fails(self):
        self.assertEqual(self.refused("bad before", "Runtime.BeforeSnapshotError"), "ZeroDivisionError: integer division or modulo by zero")

    def test_code_that_fails_to_load_is_an_init_error(self):
        zygote = Mould(test_worker.Worker.command)
        self.addCleanup(zygote.__exit__)
        zygote.expect(HELLO)
        zygote.init(HERE / "testdata" / "broken", "raises.handler", wait=False, zygote=True)
        self.assertEqual(json_of(zygote.expect(INIT_ERROR))["errorType"], "RuntimeError")
        self.assertEqual(zygote.exit_status(), 1)

    def test_what_has_ended_is_no_reason(self):
        for leave in ("ended thread", "forked"):
            self.zygote(leave)

    def test_threads_that_end_for_a_fork_are_no_reason(self):
        with tempfile.TemporaryDirectory() as folder:
            library = os.path.join(folder, "helper.so")
            subprocess.run(["cc", "-shared", "-fPIC", "-o", library, "-x", "c", "-", "-lpthread"], input=ATFORK_LIBRARY.encode(), check=True)
            zygote = self.zygote("atfork library", SCRATCH=library)
        self.assertEqual(self.child(zygote).run({"name": "x"}).value, {"message": "Hello x"})


class Children(ZygoteCase):
    def test_a_child_says_who_it_is_and_that_it_was_forked(self):
        zygote = self.zygote()
        child = Fork(zygote, 5, 6)
        self.addCleanup(child.__exit__)
        self.assertNotIn(child.hello(), (zygote.process.pid, os.getpid()))
        forked = zygote.expect(FORKED)
        self.assertEqual((forked.flags, forked.slot, forked.generation, forked.payload), (0, 5, 6, b""))
        self.assertTrue(child.silent_for(0.05))
        child.go()
        self.assertEqual(json_of(child.expect(HELLO)), dict(json_of_golden(), version=VERSION))

    def test_nothing_of_the_function_runs_before_the_word(self):
        zygote = self.zygote()
        child = Fork(zygote)
        self.addCleanup(child.__exit__)
        child.hello()
        child.report.close()
        self.assertEqual(child.until_gone(), [])
        self.assertEqual(child.process.wait(), 0)
        self.assertEqual(self.child(zygote).run({"name": "x"}).value, {"message": "Hello x"})

    def waiting(self, zygote, slot=1):
        """A child that is confined, and that its function does not need yet."""
        child = Fork(zygote, slot)
        self.addCleanup(child.__exit__)
        child.hello()
        child.go()
        child.expect(HELLO)
        self.assertTrue(child.silent_for(0.05))
        return child

    def test_hooks_and_seeds_wait_until_the_function_needs_the_child(self):
        zygote = self.zygote("bad after")
        child = self.waiting(zygote)  # the hook would have failed by now
        child.wake()
        self.assertEqual(json_of(child.expect(INIT_ERROR))["errorType"], "Runtime.AfterRestoreError")

    def test_a_child_that_waited_while_others_came_and_went(self):
        zygote = self.zygote()
        child = self.waiting(zygote)
        other = self.child(zygote, 2)
        number = other.run({"do": "random"}).value[0]
        other.send(frame(STOP))
        self.assertEqual(other.process.wait(), 0)
        child.wake()
        self.assertLess(struct.unpack("<I", child.expect(READY).payload)[0], 5000000)
        self.assertNotEqual(child.run({"do": "random"}).value[0], number)

    def test_a_child_that_waits_can_be_stopped(self):
        zygote = self.zygote()
        child = self.waiting(zygote)
        child.send(frame(STOP))
        self.assertEqual(child.process.wait(), 0)
        lonely = self.waiting(zygote, 2)
        lonely.sock.close()
        lonely.process.wait()
        self.assertEqual(self.child(zygote, 3).run({"name": "x"}).value, {"message": "Hello x"})

    def test_children_are_their_own(self):
        zygote = self.zygote()
        first, second = self.child(zygote, 1, 1), self.child(zygote, 2, 1)
        a, b = first.run({"do": "random"}).value, second.run({"do": "random"}).value
        self.assertNotEqual(a[0], b[0])
        for child, (_, pid, parent, session) in ((first, a), (second, b)):
            self.assertEqual((pid, parent, session), (child.process.pid, os.getpid(), child.process.pid))
        self.assertEqual(first.run({"do": "descriptors"}).value[:4], [0, 1, 2, 3])
        self.assertEqual(len(first.run({"do": "descriptors"}).value), 5)  # the listing's own is the fifth

    def test_hooks_run_in_lambdas_order(self):
        zygote = self.zygote()
        for slot in (1, 2):
            child = self.child(zygote, slot)
            self.assertEqual(child.run({"do": "events"}).value, ["before 2", "before 1", "after 1", "after 2"])

    def test_a_hook_that_fails_after_the_restore_is_an_init_error(self):
        zygote = self.zygote("bad after")
        child = Fork(zygote)
        self.addCleanup(child.__exit__)
        child.hello()
        child.go()
        child.expect(HELLO)
        child.wake()
        error = json_of(child.expect(INIT_ERROR))
        self.assertEqual(error["errorType"], "Runtime.AfterRestoreError")
        self.assertIn("ZeroDivisionError", error["errorMessage"])
        self.assertEqual(child.process.wait(), 1)

    def test_a_file_that_was_open_is_read_by_each_at_its_own_place(self):
        zygote = self.zygote("reading", SCRATCH=self.scratch(b"abcdef"))
        first, second = self.child(zygote, 1), self.child(zygote, 2)
        got = [child.run({"do": "read"}).value for child in (first, second, first, second)]
        self.assertEqual(got, ["cd", "cd", "ef", "ef"])

    def test_what_a_child_writes_is_its_own(self):
        zygote = self.zygote()
        first, second = self.child(zygote, 1), self.child(zygote, 2)
        outcome = first.run({"do": "write"})
        self.assertEqual((outcome.text, outcome.value), ("mine\n", first.process.pid))
        until = time.monotonic() + 5
        while not first.direct[1] and time.monotonic() < until:
            time.sleep(0.005)
        self.assertEqual((first.direct[1], second.direct[1], zygote.direct[1]), (b"direct\n", b"", b""))
        self.assertTrue(second.silent_for(0.02) and zygote.silent_for(0.02))

    def test_exit_statuses_are_the_childrens_own(self):
        zygote = self.zygote()
        first, second = self.child(zygote, 1), self.child(zygote, 2)
        first.send(test_worker.call({"do": "exit", "status": 7}))
        self.assertEqual(first.process.wait(), 7)
        second.send(frame(STOP))
        self.assertEqual(second.process.wait(), 0)

    def test_children_outlive_their_zygote(self):
        zygote = self.zygote()
        child = self.child(zygote)
        zygote.send(frame(STOP))
        self.assertEqual(zygote.exit_status(), 0)
        self.assertEqual(child.run({"name": "x"}).value, {"message": "Hello x"})
        child.sock.close()
        child.process.wait()

    def test_a_child_that_was_killed_leaves_the_zygote_able(self):
        zygote = self.zygote()
        child = self.child(zygote)
        child.process.kill()
        self.assertEqual(child.process.wait(), -signal.SIGKILL)
        self.assertEqual(self.child(zygote).run({"name": "x"}).value, {"message": "Hello x"})


def json_of_golden():
    import json
    return json.loads(golden("hello_forked")[16:].decode())


class Frames(ZygoteCase):
    def test_ping_and_the_end_of_the_stream(self):
        zygote = self.zygote()
        zygote.send(frame(PING, aux=9))
        self.assertEqual(zygote.expect(PONG).aux, 9)
        zygote.sock.close()
        zygote.exit_status()

    def test_a_fork_with_a_wrong_number_of_descriptors(self):
        zygote = self.zygote()
        before = os.listdir("/proc/%d/fd" % zygote.process.pid)
        for count in (0, 1, 3):
            child = Fork(zygote, 1, count, descriptors=count)
            self.addCleanup(child.__exit__)
            answer = zygote.expect(FORKED)
            self.assertEqual((answer.flags, answer.generation), (ERROR, count))
            self.assertIn("%d descriptors" % count, json_of(answer)["errorMessage"])
            self.assertEqual(child.until_gone(), [])
        self.assertEqual(os.listdir("/proc/%d/fd" % zygote.process.pid), before)
        self.assertEqual(self.child(zygote).run({"name": "x"}).value, {"message": "Hello x"})

    def test_many_forks_leave_nothing_in_the_zygote(self):
        zygote = self.zygote()
        before = os.listdir("/proc/%d/fd" % zygote.process.pid)
        for generation in range(30):
            child = self.child(zygote, 1, generation)
            child.send(frame(STOP))
            self.assertEqual(child.process.wait(), 0)
        self.assertEqual(os.listdir("/proc/%d/fd" % zygote.process.pid), before)
        self.assertEqual(os.listdir("/proc/%d/task" % zygote.process.pid), [str(zygote.process.pid)])

    def test_a_zygote_that_can_not_fork_says_so(self):
        for leave, reason in (("no fork", "no processes are left"), ("no second fork", "the second fork failed (status 51200)")):
            zygote = self.zygote(leave)
            child = Fork(zygote)
            self.addCleanup(child.__exit__)
            answer = zygote.expect(FORKED)
            self.assertEqual((answer.flags, json_of(answer)["errorType"]), (ERROR, "Runtime.ForkFailed"))
            self.assertIn(reason, json_of(answer)["errorMessage"])
            self.assertIsNone(child.hello())


class Conformance(test_worker.Worker):
    """A forked worker does what every worker must do. What comes before READY is not its own and is left out."""
    setUpClass = ZygoteCase.setUpClass
    before_ready = ("parked", "init_error", "hello", "missing", "bad_handler", "package", "syntax", "import", "loading", "no_function")

    def setUp(self):
        if any(part in self._testMethodName for part in self.before_ready):
            self.skipTest("before READY")

    def ready(self, **init):
        zygote = Mould(self.command)
        self.addCleanup(zygote.__exit__)
        self.assertEqual(zygote.mould(self.root, self.handler, **init).flags, 0)
        child = zygote.fork()
        self.addCleanup(child.__exit__)
        child.exit_status = child_exit_status.__get__(child)
        return child


def child_exit_status(self, timeout_s=fake_zygote.TIMEOUT_S):
    return self.process.wait(timeout_s)


if __name__ == "__main__":
    unittest.main()
