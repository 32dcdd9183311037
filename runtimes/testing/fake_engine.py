"""An engine for tests of workers: starts any worker command on a socket pair, speaks protocol.md with it and keeps what comes back.

Import it with runtimes/testing on sys.path. Frames are built by hand here, apart from every shim; test_golden.py compares them with golden_frames/.
"""
import collections
import json
import os
import pathlib
import select
import socket
import struct
import subprocess
import threading
import time

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden_frames"
HEADER = struct.Struct("<IBBHII")
INIT, CALL, BODY, CANCEL, RECALL, PING, CREDIT, STOP, FORK, ENVIRONMENT, CACHE = range(1, 12)
HELLO, READY, INIT_ERROR, REPLY, CHUNK, PONG, HANDBACK, LOG, ZYGOTE, FORKED, CACHE_MADE = range(0x81, 0x8C)
MORE, ERROR, STREAM, HTTP, LAST = 1, 2, 4, 8, 16
FLAGS = {REPLY: MORE | ERROR | STREAM | LAST, CHUNK: MORE | ERROR | LAST, LOG: MORE, ZYGOTE: ERROR, FORKED: ERROR, CACHE_MADE: MORE}  # what a worker may set
TIMEOUT_S = 20.0  # for anything that must come; generous, because test machines are shared
REQUEST_ID = bytes(range(16))

ON_FD_3 = "import os, sys; fd = int(sys.argv[1]); fd != 3 and (os.dup2(fd, 3), os.close(fd)); os.set_inheritable(3, True); os.execv(sys.argv[2], sys.argv[2:])"

Frame = collections.namedtuple("Frame", "kind flags aux slot generation payload at")


def frame(kind, payload=b"", flags=0, aux=0, slot=0, generation=0):
    return HEADER.pack(len(payload), kind, flags, aux, slot, generation) + payload


def call(event, slot=1, generation=1, flags=0, extension=b"", timeout_s=30.0, deadline_us=None, request_id=REQUEST_ID):
    if not isinstance(event, bytes):
        event = json.dumps(event, separators=(",", ":")).encode()
    if deadline_us is None:
        deadline_us = int((time.monotonic() + timeout_s) * 1e6)
    payload = struct.pack("<Q", deadline_us) + request_id + extension + event
    return frame(CALL, payload, flags, len(extension), slot, generation)


def golden(name):
    return (GOLDEN / (name + ".bin")).read_bytes()


class WorkerGone(Exception):
    """The worker closed its end."""


class FakeEngine(object):
    """One worker. Use it in a `with`: leaving it kills the worker, whatever state it is in."""

    def __init__(self, command, environment=None):
        ours, theirs = socket.socketpair()
        self.sock = ours
        self._read = b""
        self.credit = True  # grant what a large reply uses
        self.said_last = False
        self.process = subprocess.Popen(["/usr/bin/python3", "-I", "-S", "-c", ON_FD_3, str(theirs.fileno())] + command,
                                        pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=environment or {"PATH": "/usr/bin:/bin", "LEFT_OVER": "1"})
        theirs.close()
        self.direct = {1: b"", 2: b""}
        self._drains = [threading.Thread(target=self._drain, args=(fd, pipe), daemon=True)
                        for fd, pipe in ((1, self.process.stdout), (2, self.process.stderr))]
        for thread in self._drains:
            thread.start()

    def _drain(self, fd, pipe):
        while True:
            data = os.read(pipe.fileno(), 65536)
            if not data:
                return
            self.direct[fd] += data

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()
        self.process.kill()
        self.process.wait()
        for thread in self._drains:
            thread.join(1.0)
        self.process.stdout.close()
        self.process.stderr.close()

    def send(self, data):
        self.sock.sendall(data)

    def receive(self, timeout_s=TIMEOUT_S):
        """The next frame. AssertionError if none comes in time, WorkerGone at the end of the stream."""
        until = time.monotonic() + timeout_s
        while True:
            if len(self._read) >= HEADER.size:
                length, kind, flags, aux, slot, generation = HEADER.unpack_from(self._read)
                if length > 131072:
                    raise AssertionError("a frame of %d bytes" % length)
                if len(self._read) >= HEADER.size + length:
                    payload = self._read[HEADER.size:HEADER.size + length]
                    self._read = self._read[HEADER.size + length:]
                    got = Frame(kind, flags, aux, slot, generation, payload, time.monotonic())
                    self._check(got)
                    return got
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                raise AssertionError("no frame within %.3f s; fd 2: %r" % (timeout_s, self.direct[2]))
            try:
                data = self.sock.recv(1 << 18)
            except ConnectionResetError:
                data = b""
            if not data:
                raise WorkerGone(self.direct[2].decode("utf-8", "replace"))
            self._read += data

    def _check(self, got):
        if got.flags & ~FLAGS.get(got.kind, 0) or got.flags & MORE and got.flags & LAST:
            raise AssertionError("flags that do not belong there: %r" % (got,))
        if self.said_last and got.kind not in (HANDBACK, PONG, LOG):
            raise AssertionError("a frame after the last reply: %r" % (got,))
        self.said_last = self.said_last or bool(got.flags & LAST)

    def silent_for(self, seconds):
        try:
            return self.receive(seconds) is None
        except AssertionError:
            return True

    def expect(self, kind, timeout_s=TIMEOUT_S):
        """The next frame that is not a LOG; it must be of this kind."""
        return self.expect_any(kind, timeout_s=timeout_s)

    def expect_any(self, *kinds, timeout_s=TIMEOUT_S):
        while True:
            got = self.receive(timeout_s)
            if got.kind in kinds:
                return got
            if got.kind != LOG:
                raise AssertionError("wanted %r, got %r" % (kinds, got))

    def init(self, root, handler, wait=True, **more):
        values = {"protocol": 1, "function": "hello", "version": "$LATEST", "revision": "ab" * 32,
                  "arn": "arn:aws:lambda:us-east-1:000000000000:function:hello", "handler": handler, "root": str(root),
                  "environment": {"GREETING": "gr\u00fc\u00df", "PATH": "/usr/bin:/bin"}, "memory_mb": 128, "timeout_ms": 3000, "per_worker": 1,
                  "log_rate": 1048576, "log_burst": 4194304, "unknown": [{"x": None}]}
        values.update(more)
        self.send(frame(INIT, json.dumps(values, ensure_ascii=more.get("ascii", False)).encode()))
        return self.expect(READY) if wait else None

    def outcome(self, slot=1, generation=1, timeout_s=TIMEOUT_S):
        """Everything up to the end of one call's reply, with credit granted as parts come. Frames of other calls are an error."""
        result = Outcome()
        while True:
            got = self.receive(timeout_s)
            if got.kind == LOG:
                result.logs.append(got)
                continue
            if (got.slot, got.generation) != (slot, generation):
                raise AssertionError("a frame of another call: %r" % (got,))
            if got.kind == REPLY:
                result.micros = struct.unpack_from("<I", got.payload)[0]
                part = got.payload[4:]
            elif got.kind == CHUNK:
                part = got.payload
            else:
                raise AssertionError("unexpected %r" % (got,))
            result.sizes.append(len(part))
            result.flags.append(got.flags)
            result.data += part
            if not got.flags & MORE:
                return result
            if self.credit:
                self.send(frame(CREDIT, struct.pack("<I", len(part)), 0, 0, slot, generation))

    def run(self, event, slot=1, generation=1, **more):
        self.send(call(event, slot, generation, **more))
        return self.outcome(slot, generation)

    def exit_status(self, timeout_s=TIMEOUT_S):
        return self.process.wait(timeout_s)

    def until_gone(self):
        """Frames up to the end of the stream."""
        frames = []
        try:
            while True:
                frames.append(self.receive())
        except WorkerGone:
            return frames


class Outcome(object):
    """How one call ended: its bytes, the sizes and flags of its frames, the LOG frames that came before."""

    def __init__(self):
        self.data, self.logs, self.sizes, self.flags, self.micros = b"", [], [], [], None

    @property
    def is_error(self):
        return bool(self.flags[0] & ERROR)

    @property
    def value(self):
        return json.loads(self.data.decode())

    @property
    def text(self):
        return b"".join(log.payload for log in self.logs).decode()
