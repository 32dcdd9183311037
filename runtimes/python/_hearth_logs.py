"""What the function prints or logs becomes LOG frames that carry the id of the executing call and come before its reply."""
import io
import logging
import threading
import time

from _hearth_channel import LOG, MORE, NO_CALL

LINE_MAX = 65536
RATE, BURST = 1 << 20, 4 << 20  # bytes a second, bytes; INIT may say otherwise
FLUSH_BYTES = 65536
MARKER_PERIOD_S = 1.0
MARKER_RESERVE = 1024  # bytes of the burst that only markers may use: a flood leaves room for its own marker
PLAIN, ERROR_LEVEL = 0, 4


class LogSink(object):
    """Turns text into frames, within the rate that the engine granted. All streams of a worker share one."""

    def __init__(self, channel):
        self.channel = channel
        self.lock = threading.RLock()  # re-entrant: a signal handler or a finalizer may print while its thread prints
        self.streams = []
        self.child = None  # in a forked child: the plain stream that takes everything
        self.configure(RATE, BURST)

    def configure(self, rate, burst):
        self._rate = max(1, rate)
        self._burst = max(1, burst)
        self._reserve = min(MARKER_RESERVE, self._burst // 2)
        self._tokens = float(self._burst)
        self._at = time.monotonic()
        self.dropped = 0
        self._marked = -MARKER_PERIOD_S

    def restart(self):
        """In a process that was forked to be a worker of its own: nothing is held, nothing is left over."""
        self.lock = threading.RLock()
        for stream in self.streams:
            stream.drop_partial()

    def line(self, data, level):
        """Queues one line that ends in a newline, or a record of several."""
        if self.child is not None:
            self.child.write(data.decode("utf-8", "replace"))
            return
        with self.lock:
            size = len(data)
            if not self._take(size, self._reserve):
                self.dropped += 1
                return
            if self.dropped and time.monotonic() - self._marked >= MARKER_PERIOD_S:
                self._mark()
            call_id = self.channel.current
            put = self.channel.put
            if size > LINE_MAX:
                view = memoryview(data)
                at = 0
                while size - at > LINE_MAX:
                    cut = at + LINE_MAX
                    while data[cut] & 0xC0 == 0x80:  # never inside a UTF-8 sequence
                        cut -= 1
                    put(LOG, bytes(view[at:cut]), MORE, level, call_id)
                    at = cut
                data = bytes(view[at:])
            put(LOG, data, 0, level, call_id)
        if len(self.channel.out) >= FLUSH_BYTES or call_id == NO_CALL:
            self.channel.try_flush(0.0 if threading.current_thread() is threading.main_thread() else 0.1)

    def end_of_call(self):
        """Sends what has no newline yet, and tells of dropped lines, while the call's id still stands."""
        for stream in self.streams:
            if stream.partial:
                stream.finish_line()
        if self.dropped:
            with self.lock:
                self._mark()

    def record(self, text, level):
        """Queues text of several lines as one frame."""
        self.line(text.encode("utf-8", "backslashreplace") + b"\n", level)

    def _take(self, size, reserve):
        now = time.monotonic()
        tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if tokens - size < reserve:
            self._tokens = tokens
            return False
        self._tokens = tokens - size
        return True

    def _mark(self):
        """Tells of dropped lines: once a period while a call goes on, and at its end. Markers are paid for as well; a count that
        finds even the reserve used up waits for the end of the next call."""
        text = "[hearth] %d log lines dropped\n" % self.dropped
        if not self._take(len(text), 0):
            return
        self.dropped = 0
        self._marked = self._at
        self.channel.put(LOG, text.encode("ascii"), 0, PLAIN, self.channel.current)


class LogStream(io.TextIOBase):
    """Stands in for sys.stdout and sys.stderr. Line-buffered; `buffer` takes bytes as the real one does."""

    def __init__(self, sink, fd, name):
        self._sink = sink
        self._fd = fd
        self.name = name
        self.mode = "w"
        self.partial = []
        self._partial_size = 0
        self.buffer = _Binary(self)
        sink.streams.append(self)

    encoding = "utf-8"
    errors = "backslashreplace"
    line_buffering = True

    def writable(self):
        return True

    def isatty(self):
        return False

    def fileno(self):
        return self._fd

    def reconfigure(self, **_settings):
        pass  # always UTF-8, always line-buffered

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError("write() argument must be str, not " + type(text).__name__)
        self.write_bytes(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def write_bytes(self, data):
        with self._sink.lock:
            if b"\n" not in data:
                if data:
                    self.partial.append(data)
                    self._partial_size += len(data)
                    if self._partial_size >= 16 * LINE_MAX:
                        self.finish_line()  # a bound on what a function without newlines can pile up here
                return
            lines = data.split(b"\n")
            rest = lines.pop()
            if self.partial:
                self.partial.append(lines[0])
                lines[0] = b"".join(self.partial)
                self.partial = []
                self._partial_size = 0
            if rest:
                self.partial.append(rest)
                self._partial_size = len(rest)
            for line in lines:
                self._sink.line(_clean(line) + b"\n", PLAIN)

    def drop_partial(self):
        self.partial = []
        self._partial_size = 0

    def finish_line(self):
        with self._sink.lock:
            data = b"".join(self.partial)
            self.drop_partial()
            if data:
                self._sink.line(_clean(data) + b"\n", PLAIN)

    def flush(self):
        pass  # a part of a line waits for its end, or for the end of the call


class _Binary(io.RawIOBase):
    def __init__(self, stream):
        self._stream = stream

    def writable(self):
        return True

    def fileno(self):
        return self._stream.fileno()

    def write(self, data):
        data = bytes(data)
        self._stream.write_bytes(data)
        return len(data)


class FunctionLogHandler(logging.Handler):
    """The root logger's handler, with Lambda's line format; the frame carries the level."""

    def __init__(self, sink, request_id):
        logging.Handler.__init__(self)
        self._sink = sink
        self._request_id = request_id
        formatter = logging.Formatter("[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s",
                                      "%Y-%m-%dT%H:%M:%S")
        formatter.converter = time.gmtime
        self.setFormatter(formatter)

    def emit(self, record):
        try:
            record.aws_request_id = self._request_id()
            write_lines(self._sink, self.format(record), min(5, max(1, record.levelno // 10)))
        except RecursionError:
            raise
        except Exception:
            self.handleError(record)


def write_lines(sink, text, level):
    for line in text.split("\n"):
        sink.line(line.encode("utf-8", "backslashreplace") + b"\n", level)


def _clean(data):
    """LOG frames are UTF-8; what came through `buffer` need not be."""
    try:
        data.decode("utf-8")
        return data
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace").encode("utf-8")
