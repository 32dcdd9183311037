"""A zygote under test: FORK frames with their descriptors, the report socket's other side, and each child as a FakeEngine of its own.

A child's parent must become that of the zygote. Here this is the test's process: it makes itself a subreaper.
"""
import array
import ctypes
import os
import signal
import socket
import struct
import threading
import time

from fake_engine import FORK, FORKED, HELLO, INIT, READY, TIMEOUT_S, FakeEngine, ZYGOTE, frame

PR_SET_CHILD_SUBREAPER = 36
REPORT_BYTES = 72


def become_subreaper():
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError("prctl")


class Orphan(object):
    """What subprocess.Popen is to a child that was started here, for one that fell to us."""

    def __init__(self, pid):
        self.pid = pid
        self.status = None

    def poll(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
        return self.status

    def wait(self, timeout_s=TIMEOUT_S):
        until = time.monotonic() + timeout_s
        while self.poll() is None:
            if time.monotonic() > until:
                raise AssertionError("process %d goes on" % self.pid)
            time.sleep(0.002)
        return self.status

    def kill(self):
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


class Fork(FakeEngine):
    """One FORK, from the frame on. `hello()` takes the child's report, `go()` lets it run."""

    def __init__(self, zygote, slot=1, generation=1, descriptors=None):
        ours, channel = socket.socketpair()
        self.report, report = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.report.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.sock, self._read, self.credit, self.said_last = ours, b"", True, False
        out, err = os.pipe(), os.pipe()
        far = [channel.fileno(), out[1], err[1], report.fileno()]
        zygote.sock.sendmsg([frame(FORK, slot=slot, generation=generation)],
                            [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", far if descriptors is None else far[:descriptors]))])
        channel.close()
        report.close()
        os.close(out[1])
        os.close(err[1])
        self.process = None
        self.direct = {1: b"", 2: b""}
        self._pipes = (out[0], err[0])
        self._drains = [threading.Thread(target=self._drain_fd, args=pair, daemon=True) for pair in ((1, out[0]), (2, err[0]))]
        for thread in self._drains:
            thread.start()

    def _drain_fd(self, which, fd):
        while True:
            data = os.read(fd, 65536)
            if not data:
                return
            self.direct[which] += data

    def hello(self):
        """The child's pid, as the kernel tells it; None when nobody can report any more."""
        self.report.settimeout(TIMEOUT_S)
        data, ancillary, _, _ = self.report.recvmsg(256, socket.CMSG_SPACE(12) + socket.CMSG_SPACE(64))
        if not data:
            return None
        if len(data) != REPORT_BYTES or struct.unpack_from("<Ii", data) != (2, 0):
            raise AssertionError("a report of another form: %r" % data)
        for level, kind, payload in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                self.process = Orphan(struct.unpack_from("<i", payload)[0])
        return self.process.pid

    def go(self):
        self.report.send(b"\1")

    def ready(self):
        self.hello()
        self.go()
        self.hello_frame = self.expect(HELLO)
        self.wake()
        return self.expect(READY)

    def wake(self):
        """Its function needs it."""
        self.send(frame(INIT, b"{}"))

    def __exit__(self, *_):
        self.sock.close()
        self.report.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        for thread in self._drains:
            thread.join(1.0)
        for fd in self._pipes:
            os.close(fd)


class Mould(FakeEngine):
    """A worker that is asked to become a zygote."""

    def mould(self, root, handler, **more):
        """The answer: a ZYGOTE frame."""
        self.expect(HELLO)
        self.init(root, handler, wait=False, zygote=True, **more)
        return self.expect(ZYGOTE)

    def fork(self, slot=1, generation=1, **more):
        """A child that is ready, and the zygote's word for it."""
        child = Fork(self, slot, generation, **more)
        child.ready()
        self.forked = self.expect(FORKED)
        return child
