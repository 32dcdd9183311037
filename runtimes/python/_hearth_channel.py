"""The worker's end of the channel: frames in, frames out, and the guard thread (see ../protocol.md).

Threads: the main thread runs the handler and, between batches, reads and writes the socket. The guard thread does both only while a
handler keeps the main thread. What they share is touched by single operations that are atomic under the GIL (append, popleft, remove,
`bytearray +=`), so that a call costs no lock; a batch costs two uncontended ones:
- `read_lock`: receive buffer, frame parser, credit. Whoever wants to block in a read checks under it that nothing has come meanwhile.
- `send_lock`: whoever takes bytes from `out` to the socket.
"""
import _socket
import _thread
import os
import struct
import sys
import time
from collections import deque

CHANNEL_FD = 3
INIT, CALL, BODY, CANCEL, RECALL, PING, CREDIT, STOP, FORK = range(1, 10)
HELLO, READY, INIT_ERROR, REPLY, CHUNK, PONG, HANDBACK, LOG, ZYGOTE, FORKED = range(0x81, 0x8B)
MORE, ERROR, STREAM, HTTP, LAST = 1, 2, 4, 8, 16
BODY_FOLLOWS, HTTP_HEAD = 0, 1  # what the bytes of a stream's REPLY are

HEADER = struct.Struct("<IBBH8s")
# A CALL's header and the fixed part of its payload in one step; harmless on a shorter frame, because the buffer is longer than its data.
CALL_HEAD = struct.Struct("<IBBH8sQ16s")
REPLY_HEAD = struct.Struct("<IBBH8sI")
U32 = struct.Struct("<I")

HEADER_BYTES = 16
CALL_FIXED_BYTES = 24
FRAME_MAX = 131072
REPLY_PART_MAX = 65536
FIRST_CREDIT = 262144
BUFFER_BYTES = 2 * FRAME_MAX
OUT_MAX = 262144
NO_CALL = bytes(8)

REPLY_AGE_S = 0.0005  # the main thread flushes between calls when the oldest unsent byte is older than this
GUARD_PERIOD_S = 0.0035  # + REPLY_AGE_S + SWITCH_INTERVAL_S = 5 ms: what a finished reply waits behind a handler that keeps the main thread
GUARD_IDLE_WAKES = 30   # the guard parks after about 100 ms without calls
SWITCH_INTERVAL_S = 0.001
LEAVE_S = 1.0           # how long a worker that ends by itself waits for STOP, handing calls back
LEAVE_PERIOD_S = 0.001


def is_zygote(fd):
    """A channel is a stream. A socket of packets is the spawner's: this process is its generic zygote (_hearth_generic.py)."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, os.dup(fd))
    try:
        return sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_TYPE) == _socket.SOCK_SEQPACKET
    finally:
        sock.close()


class Stream(object):
    """A reply that goes out as it is made. Main thread only; blocks while the engine grants no credit."""

    __slots__ = ("begun", "_channel", "_id")

    def __init__(self, channel, call_id):
        self.begun = False
        self._channel = channel
        self._id = call_id

    def begin(self, kind=BODY_FOLLOWS, data=b""):
        """`data` is the head or the content type, whole, or the first of the body."""
        if len(data) > REPLY_PART_MAX - U32.size:
            raise ValueError("the head of a stream is larger than %d bytes" % (REPLY_PART_MAX - U32.size))
        self.begun = True
        self._channel.put(REPLY, U32.pack(0) + data, STREAM | MORE, kind, self._id)
        self._take(len(data))

    def send(self, data):
        at = 0
        if not self.begun:
            at = min(len(data), REPLY_PART_MAX - U32.size)
            self.begin(BODY_FOLLOWS, bytes(data[:at]))
        while at < len(data):
            size = min(REPLY_PART_MAX, len(data) - at, self._channel._wait_for_credit())
            self._channel.put(CHUNK, bytes(data[at:at + size]), MORE, 0, self._id)
            self._take(size)
            at += size
        self._channel.flush()

    def end(self, kind_of_end=0, data=b""):
        """With ERROR and error JSON: it broke off."""
        if not self.begun:
            self.begin()
        self._channel.put(CHUNK, data, kind_of_end, 0, self._id)
        self._channel.credit_id = NO_CALL

    def _take(self, size):
        with self._channel.read_lock:
            self._channel.credit -= size


class Channel(object):
    """One connection to the engine. `pending` holds calls that nobody has started, as tuples
    (id, deadline_us, request_id, extension, event, flags); the event is str, or bytes if it is not UTF-8."""

    __slots__ = ("sock", "pending", "out", "since", "current", "serial", "stopping", "init", "credit", "credit_id", "end_status",
                 "read_lock", "_send_lock", "_buffer", "_view", "_have", "_partial", "_parked", "_wake", "_guarding", "_ended")

    def __init__(self, fd):
        self.sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, fd)
        self.sock.setblocking(True)
        os.set_inheritable(fd, False)
        self._buffer = bytearray(BUFFER_BYTES + CALL_HEAD.size)
        self._view = memoryview(self._buffer)
        self.reset()

    def reset(self):
        """As new, on the same socket: also for a process that was forked from one which used it."""
        self.pending = deque()
        self.out = bytearray()
        self.since = 0.0        # when `out` last became non-empty
        self.current = NO_CALL  # the call whose handler runs
        self.serial = 0         # grows with each read of the main thread
        self.stopping = False
        self.init = None
        self.credit = 0
        self.credit_id = NO_CALL
        self.end_status = 1     # what the process exits with when the engine is gone
        self.read_lock = _thread.allocate_lock()
        self._send_lock = _thread.allocate_lock()
        self._have = 0
        self._partial = None
        self._parked = False
        self._wake = _thread.allocate_lock()
        self._wake.acquire()

    # ---- out

    def put(self, kind, payload=b"", flags=0, aux=0, call_id=NO_CALL):
        """Queues one frame. Atomic: any thread may call it."""
        if not self.out:
            self.since = time.monotonic()
        out = self.out
        out += HEADER.pack(len(payload), kind, flags, aux, call_id) + payload

    def flush(self):
        """Writes everything that is queued; blocks while the socket is full. Not to be called from a signal handler."""
        with self._send_lock:
            self._drain()

    def try_flush(self, wait_s=0.0):
        """As flush(), but gives up when another thread (or this one, below a signal handler) is at it."""
        lock = self._send_lock
        if lock.acquire(True, wait_s) if wait_s else lock.acquire(False):
            try:
                self._drain()
            finally:
                lock.release()

    def _drain(self):
        out = self.out
        while out:
            data = bytes(out)
            del out[:len(data)]
            try:
                self.sock.sendall(data)
            except OSError:
                os._exit(self.end_status)

    def send_large(self, call_id, micros, data, flags):
        """Sends a reply of more than one frame from the main thread, waiting for credit where the engine has granted none.
        ERROR goes into the first frame, LAST into the last."""
        view = memoryview(data)
        with self.read_lock:
            self.credit_id = call_id
            self.credit = FIRST_CREDIT
        at = 0
        total = len(data)
        while at < total:
            allowed = self._wait_for_credit()
            size = min(REPLY_PART_MAX, total - at, allowed)
            if at == 0:
                size = min(size, REPLY_PART_MAX - U32.size)
            more = MORE if at + size < total else flags & LAST
            part = bytes(view[at:at + size])
            if at == 0:
                self.put(REPLY, U32.pack(micros) + part, more | flags & ERROR, 0, call_id)
            else:
                self.put(CHUNK, part, more, 0, call_id)
            at += size
            with self.read_lock:
                self.credit -= size
            if len(self.out) >= OUT_MAX:
                self.flush()
        self.credit_id = NO_CALL

    def open_stream(self, call_id):
        """A streamed reply of the main thread's call begins; see Stream."""
        with self.read_lock:
            self.credit_id = call_id
            self.credit = FIRST_CREDIT
        return Stream(self, call_id)

    def _wait_for_credit(self):
        while self.credit <= 0:
            self.flush()
            with self.read_lock:
                if self.credit <= 0:
                    self._receive(0)
            if self._parked:
                self._unpark()
        return self.credit

    def say_last(self, call_id, micros, data, flags, status):
        """The reply after which the worker ends, with `status`. Calls that nobody has started go back, also those that
        still come, until the engine says STOP or is gone, for LEAVE_S at most."""
        self.end_status = status
        self._hand_back()
        self.send_large(call_id, micros, data, flags | LAST)
        self._linger(status)

    def _linger(self, status):
        until = time.monotonic() + LEAVE_S
        with self.read_lock:  # the guard reads nothing meanwhile
            while True:
                self._hand_back()
                self.flush()
                if self.stopping or time.monotonic() >= until:
                    return
                try:
                    self._receive(_socket.MSG_DONTWAIT)
                except BlockingIOError:
                    time.sleep(LEAVE_PERIOD_S)
                except OSError:
                    os._exit(status)

    def end_with(self, kind, data, flags, call_id, status):
        """As say_last(), with a frame that ends a stream."""
        self.end_status = status
        self._hand_back()
        self.put(kind, data, flags | LAST, 0, call_id)
        self._linger(status)

    def _hand_back(self):
        try:
            while True:
                self.put(HANDBACK, b"", 0, 0, self.pending.popleft()[0])
        except IndexError:
            pass

    # ---- in

    def wait(self):
        """Blocks until at least one read has been done, or a call is pending already (the guard may have read it)."""
        with self.read_lock:
            if not self.pending and not self.stopping:
                self._receive(0)
        self.serial += 1
        if self._parked:
            self._unpark()

    def _receive(self, flags):
        """One read, and everything that it holds. Call it under read_lock."""
        have = self._have
        size = self.sock.recv_into(self._view[have:BUFFER_BYTES], 0, flags)
        if size == 0:
            os._exit(self.end_status)  # the engine is gone
        end = have + size
        buffer = self._buffer
        view = self._view
        unpack = CALL_HEAD.unpack_from
        append = self.pending.append
        at = 0
        while end - at >= HEADER_BYTES:
            length, kind, flags, aux, call_id, deadline, request_id = unpack(buffer, at)
            after = at + HEADER_BYTES + length
            if after > end:
                if length > FRAME_MAX:
                    os._exit(1)
                break
            if kind == CALL:
                start = at + HEADER_BYTES + CALL_FIXED_BYTES
                extension = None
                if aux:
                    extension = bytes(view[start:start + aux])
                    start += aux
                if flags & MORE:
                    self._partial = [(call_id, deadline, request_id, extension, None, flags & ~MORE), [bytes(view[start:after])]]
                else:
                    try:
                        event = str(view[start:after], "utf-8")
                    except UnicodeDecodeError:
                        event = bytes(view[start:after])
                    append((call_id, deadline, request_id, extension, event, flags))
            else:
                self._control(kind, flags, aux, call_id, bytes(view[at + HEADER_BYTES:after]))
            at = after
        if at:
            if at < end:
                view[:end - at] = view[at:end]
            self._have = end - at
        else:
            self._have = end

    def _control(self, kind, flags, aux, call_id, payload):
        if kind == BODY:
            self._body(flags, call_id, payload)
        elif kind == RECALL:
            self._recall(call_id)
        elif kind == PING:
            self.put(PONG, b"", 0, aux)
        elif kind == CREDIT:
            if call_id == self.credit_id:
                self.credit += U32.unpack(payload)[0]
        elif kind == STOP:
            self.stopping = True
        elif kind == INIT:
            self.init = payload

    def _body(self, flags, call_id, payload):
        partial = self._partial
        if partial is None or partial[0][0] != call_id:
            return  # the rest of an event that was handed back
        partial[1].append(payload)
        if flags & MORE:
            return
        self._partial = None
        head = partial[0]
        event = b"".join(partial[1])
        try:
            event = event.decode("utf-8")
        except UnicodeDecodeError:
            pass
        self.pending.append(head[:4] + (event,) + head[5:])

    def _recall(self, call_id):
        """Hands a call back if its handler has not started. The main thread claims a call by popleft(): exactly one of the two gets it."""
        partial = self._partial
        if partial is not None and partial[0][0] == call_id:
            self._partial = None
            self.put(HANDBACK, b"", 0, 0, call_id)
            return
        for call in list(self.pending):
            if call[0] == call_id:
                try:
                    self.pending.remove(call)
                except ValueError:
                    return
                self.put(HANDBACK, b"", 0, 0, call_id)
                return

    def take_unread(self):
        """What has come and is no whole frame yet, for a reader of another kind."""
        with self.read_lock:
            rest = bytes(self._view[:self._have])
            self._have = 0
        return rest

    # ---- the guard

    def start_guard(self):
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._guarding = True
        self._ended = _thread.allocate_lock()
        self._ended.acquire()
        _thread.start_new_thread(self._guard, ())

    def stop_guard(self):
        """Returns when the guard does nothing more; its thread is gone a moment later."""
        self._guarding = False
        self._unpark()
        self._ended.acquire()

    def _unpark(self):
        self._parked = False
        try:
            self._wake.release()
        except RuntimeError:
            pass  # the guard saw the new serial by itself

    def _guard(self):
        sleep = time.sleep
        now = time.monotonic
        seen = -1
        idle = 0
        while self._guarding:
            sleep(GUARD_PERIOD_S)
            serial = self.serial
            if serial != seen:
                seen = serial
                idle = 0
            elif self._serve_for_main():
                idle = 0
            else:
                idle += 1
                if idle >= GUARD_IDLE_WAKES:
                    idle = 0
                    self._park(seen)
            if self.out and now() - self.since > REPLY_AGE_S:
                self.try_flush()
        self._ended.release()

    def _serve_for_main(self):
        """The main thread has read nothing since the last wake. False if that is because it waits for calls."""
        if not self.read_lock.acquire(False):
            return False
        try:
            self._receive(_socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass
        except OSError:
            os._exit(1)
        finally:
            self.read_lock.release()
        return True

    def _park(self, seen):
        self._parked = True
        if self.serial == seen and not self.out:
            self._wake.acquire()
        self._parked = False
