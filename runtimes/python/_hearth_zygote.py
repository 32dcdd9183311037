"""A worker that has loaded its function and serves as the mould of further ones (see "Zygotes" in ../protocol.md).

Loaded only by a worker that is asked to become one. Nothing here runs in an ordinary worker, and in a forked one only until it is ready.
"""
import _socket
import array
import errno
import fcntl
import gc
import os
import signal
import stat
import struct
import sys
import time

import _hearth_calls as calls
import _hearth_channel as wire
import _hearth_snapshot as snapshot

FORK_FDS = 4            # channel, stdout, stderr, report socket
READ_BYTES = 65536
ANCILLARY_FDS = 16      # room for more than there may be, so that too many are seen
REPORT = struct.pack("<Ii64s", 2, 0, b"")
OWN_FDS = (0, 1, 2, 3)
HARMLESS_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
THREAD_END_S = 0.05     # how long a thread that has ended may still be listed
ORPHAN_WAIT_S = 5.0     # until the child's parent is init; usually one look
ORPHAN_PERIOD_S = 0.0002
INTERMEDIATE_FAILED = 200  # + 1: exit status of the process between zygote and child when the second fork failed
REOPEN_MASK = os.O_CREAT | os.O_EXCL | os.O_TRUNC | os.O_NOFOLLOW


class NotForkable(Exception):
    """What init code has left behind and a child would lose or share."""


# ---- what does not survive a fork

def thread_count(expected=1):
    """The process's threads. One that has just ended may be listed for a moment more."""
    until = time.monotonic() + THREAD_END_S
    while True:
        count = len(os.listdir("/proc/self/task"))
        if count <= expected or time.monotonic() >= until:
            return count
        time.sleep(0.001)


def has_children():
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return True
    except ChildProcessError:
        return False


def running_timer():
    for name in ("ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF"):
        if signal.getitimer(getattr(signal, name))[0]:
            return name
    try:
        with open("/proc/self/timers", "rb") as timers:
            return "a POSIX timer" if timers.read(1) else None
    except OSError:
        return None  # a kernel without the list


def shared_mapping():
    """The name of memory that a child would share with the others instead of having its own."""
    with open("/proc/self/maps", "r", errors="replace") as maps:
        for line in maps:
            fields = line.split(None, 5)
            if "w" in fields[1] and "s" in fields[1]:
                return fields[5].strip() if len(fields) > 5 else "anonymous"
    return None


def reopened(fd):
    """A descriptor of its own for the same file, at the same position; it need not have a name any more."""
    flags = fcntl.fcntl(fd, fcntl.F_GETFL) & ~REOPEN_MASK
    new = os.open("/proc/self/fd/%d" % fd, flags | os.O_CLOEXEC)
    try:
        if stat.S_ISREG(os.fstat(fd).st_mode):
            os.lseek(new, os.lseek(fd, 0, os.SEEK_CUR), os.SEEK_SET)
    except OSError:
        os.close(new)
        raise
    return new


def check_descriptor(fd):
    """None: the child needs nothing. True: it must open the file anew. Raises NotForkable."""
    try:
        mode = os.fstat(fd).st_mode
        name = os.readlink("/proc/self/fd/%d" % fd)
    except OSError as error:
        if error.errno == errno.EBADF:
            return None  # the listing's own, gone by now
        name, mode = "?", 0
    if stat.S_ISCHR(mode) and name in HARMLESS_DEVICES:
        return None
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise NotForkable("descriptor %d is open: %s" % (fd, name))
    if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
        raise NotForkable("descriptor %d is open for writing: %s" % (fd, name))
    try:
        os.close(reopened(fd))
    except OSError as error:
        raise NotForkable("descriptor %d can't be opened again: %s: %s" % (fd, name, error))
    return True


def open_files():
    """The descriptors that a child must open anew. Raises NotForkable."""
    found = [int(name) for name in os.listdir("/proc/self/fd")]
    return [fd for fd in found if fd not in OWN_FDS and check_descriptor(fd)]


# ---- the zygote

class Zygote(object):
    def __init__(self, worker, init, start):
        self.worker = worker
        self.channel = worker.channel
        self.settings = init
        self.start = start
        self.files = []
        self.init_pid = os.getppid()
        self.received = b""
        self.descriptors = []
        self.failure = None

    def prepare(self):
        """Says ZYGOTE; or why not, and exits."""
        worker = self.worker
        try:
            snapshot.run_before_snapshot()
        except BaseException as error:
            self.refuse("Runtime.BeforeSnapshotError", "%s: %s" % (type(error).__name__, error), calls.user_stack(error.__traceback__))
        self.channel.stop_guard()
        gc.collect()
        try:
            self.check()
        except NotForkable as error:
            self.refuse("Runtime.NotForkable", str(error))
        except OSError as error:
            self.refuse("Runtime.NotForkable", "/proc could not be read: %s" % error)
        if hasattr(gc, "freeze"):
            gc.freeze()
        worker.sink.end_of_call()
        self.channel.put(wire.ZYGOTE, wire.U32.pack(int((time.monotonic() - self.start) * 1000000) & 0xFFFFFFFF))
        self.channel.flush()

    def check(self):
        if has_children():
            raise NotForkable("there are child processes")
        if thread_count() > 1:
            # A library may end its threads when the process forks (OpenBLAS does): one fork tells.
            if self.fork_once() == 0:
                os._exit(0)
            count = thread_count()
            if count > 1:
                raise NotForkable("there are %d threads" % count)
        timer = running_timer()
        if timer:
            raise NotForkable("a timer runs: " + timer)
        mapping = shared_mapping()
        if mapping:
            raise NotForkable("memory that can be written is shared: " + mapping)
        self.files = open_files()

    def refuse(self, kind, message, stack=()):
        worker = self.worker
        worker.sink.end_of_call()
        self.channel.put(wire.ZYGOTE, worker.encode(calls.error_object(kind, message, stack)), wire.ERROR)
        worker.leave(0)

    def serve(self):
        """Forks when asked. Returns in children only."""
        channel = self.channel
        self.received = channel.take_unread()
        while True:
            self.read()
            while len(self.received) >= wire.HEADER_BYTES:
                length, kind, _, aux, call_id = wire.HEADER.unpack_from(self.received)
                end = wire.HEADER_BYTES + length
                if length > wire.FRAME_MAX:
                    os._exit(1)
                if end > len(self.received):
                    break
                self.received = self.received[end:]
                if kind == wire.FORK:
                    descriptors, self.descriptors = self.descriptors, []
                    if self.fork(descriptors, call_id):
                        return
                elif kind == wire.PING:
                    channel.put(wire.PONG, b"", 0, aux)
                elif kind == wire.STOP:
                    self.worker.leave(0)
            channel.flush()

    def read(self):
        space = _socket.CMSG_SPACE(ANCILLARY_FDS * 4)
        try:
            data, ancillary, _, _ = self.channel.sock.recvmsg(READ_BYTES, space, getattr(_socket, "MSG_CMSG_CLOEXEC", 0))
        except OSError:
            os._exit(1)
        if not data:
            os._exit(self.channel.end_status)  # the engine is gone
        for level, kind, payload in ancillary:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                numbers = array.array("i")
                numbers.frombytes(payload[:len(payload) - len(payload) % numbers.itemsize])
                self.descriptors.extend(numbers)
        self.received += data

    def fork(self, descriptors, fork_id):
        """True in the child."""
        if len(descriptors) != FORK_FDS:
            for fd in descriptors:
                os.close(fd)
            self.answer(fork_id, "FORK came with %d descriptors, not %d" % (len(descriptors), FORK_FDS))
            return False
        try:
            pid = self.fork_once()
        except OSError as error:
            pid, self.failure = -1, str(error)
        if pid == 0:
            self.fork_again()
            self.become(descriptors)
            return True
        for fd in descriptors:
            os.close(fd)
        self.answer(fork_id, self.failure)
        return False

    def fork_once(self):
        """os.fork(), and in the parent the end of the child, which lives for a moment only."""
        self.worker.moulding = True
        self.failure = None
        try:
            pid = os.fork()
        except OSError:
            self.worker.moulding = False
            raise
        if pid == 0:
            return 0
        self.worker.moulding = False
        try:
            _, status = os.waitpid(pid, 0)
        except ChildProcessError:
            return pid  # a handler of the function's for SIGCHLD was faster
        if status:
            self.failure = "the second fork failed (status %d)" % status
        return pid

    def fork_again(self):
        """The child of the child goes on; its parent is init as soon as the one between has ended."""
        try:
            if os.fork():
                os._exit(0)
        except OSError:
            os._exit(INTERMEDIATE_FAILED)

    def answer(self, fork_id, failure):
        if failure is None:
            self.channel.put(wire.FORKED, b"", 0, 0, fork_id)
            return
        report = calls.error_object("Runtime.ForkFailed", failure)
        self.channel.put(wire.FORKED, self.worker.encode(report), wire.ERROR, 0, fork_id)

    # ---- the child

    def become(self, descriptors):
        """From the fork to READY. Between HELLO and INIT it waits until its function needs it, and runs nothing of that."""
        try:
            self.wait_for_word(descriptors)
        except BaseException:
            os._exit(1)
        worker = self.worker
        worker.restart(self.settings)
        worker.moulding = False
        worker.say_hello({"forked": True})
        worker.wait_for_init()
        start = time.monotonic()
        try:
            self.part_files()
            reseed()
            snapshot.run_after_restore()
        except BaseException as error:
            report = calls.error_object("Runtime.AfterRestoreError", "%s: %s" % (type(error).__name__, error),
                                        calls.user_stack(error.__traceback__))
            worker.fail_init(report)
        worker.say_ready(start)
        self.channel.start_guard()

    def wait_for_word(self, descriptors):
        """Takes its own channel and pipes, says on the report socket who it is, and waits until it is confined."""
        for fd, place in zip(descriptors, (wire.CHANNEL_FD, 1, 2)):
            os.dup2(fd, place, place != wire.CHANNEL_FD)
            os.close(fd)
        os.setsid()
        until = time.monotonic() + ORPHAN_WAIT_S
        while os.getppid() != self.init_pid:
            if time.monotonic() > until:
                os._exit(1)
            time.sleep(ORPHAN_PERIOD_S)
        report = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, descriptors[3])
        report.setblocking(True)
        report.send(REPORT)
        word = report.recv(1)
        report.close()
        if not word:
            os._exit(0)

    def part_files(self):
        for fd in self.files:
            inheritable = os.get_inheritable(fd)
            new = reopened(fd)
            os.dup2(new, fd, inheritable)
            os.close(new)


def reseed():
    """New seeds for generators that would give every child the same numbers. Those that the function made itself are its own affair."""
    if "random" in sys.modules:
        sys.modules["random"].seed()
    numpy_random = sys.modules.get("numpy.random")
    if hasattr(numpy_random, "seed"):
        numpy_random.seed()
    if hasattr(sys.modules.get("ssl"), "RAND_add"):
        sys.modules["ssl"].RAND_add(os.urandom(32), 32.0)
    if hasattr(sys.modules.get("uuid"), "_last_timestamp"):
        sys.modules["uuid"]._last_timestamp = None


def become_zygote(worker, init, start):
    """Returns in each forked worker, when it is ready."""
    zygote = Zygote(worker, init, start)
    zygote.prepare()
    zygote.serve()
