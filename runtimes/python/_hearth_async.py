"""Handlers that are coroutines or asynchronous generators: one event loop, up to per_worker calls at once. Loaded for such functions alone.

There is no guard thread here: as in Node's worker, what the engine says is read, and what is to go out is written, whenever the loop turns.
"""
import asyncio
import os
import time
import _socket
import _thread

import _hearth_calls as calls
import _hearth_channel as wire

try:
    from contextvars import ContextVar
except ImportError:  # Python 3.6: a task knows its call, a task that it starts does not
    class ContextVar(object):
        def __init__(self, name, default):
            self._name, self._default = "_hearth_" + name, default

        def get(self):
            try:
                return getattr(asyncio.Task.current_task(), self._name, self._default)
            except RuntimeError:
                return self._default

        def set(self, value):
            setattr(asyncio.Task.current_task(), self._name, value)

CALL = ContextVar("call", default=wire.NO_CALL)
REQUEST = ContextVar("request", default=None)
STOPPED = "The worker ended: another call of this function had called exit"


def finish(value):
    """The result of an awaitable that a plain handler returned."""
    if Channel.loop is None:
        Channel.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(Channel.loop)
    return Channel.loop.run_until_complete(_await(value))


async def _await(value):
    return await value


class Stream(wire.Stream):
    """A reply that goes out in parts, for the call of one task."""

    __slots__ = ("credit", "_waiter")

    def __init__(self, channel, call_id):
        wire.Stream.__init__(self, channel, call_id)
        self.credit = wire.FIRST_CREDIT
        self._waiter = None

    def _take(self, size):
        self.credit -= size

    def grant(self, size):
        self.credit += size
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def send_soon(self, data):
        at = 0
        if not self.begun:
            at = min(len(data), wire.REPLY_PART_MAX - wire.U32.size)
            self.begin(wire.BODY_FOLLOWS, bytes(data[:at]))
        while at < len(data):
            size = min(wire.REPLY_PART_MAX, len(data) - at, await self._granted())
            self._channel.put(wire.CHUNK, bytes(data[at:at + size]), wire.MORE, 0, self._id)
            self._take(size)
            at += size

    async def _granted(self):
        while self.credit <= 0:
            self._waiter = asyncio.get_event_loop().create_future()
            await self._waiter
        return self.credit

    async def send_reply(self, micros, data, bits):
        """A reply that is no stream and larger than a frame."""
        at = wire.REPLY_PART_MAX - wire.U32.size
        self.begun = True
        self._channel.put(wire.REPLY, wire.U32.pack(micros) + data[:at], wire.MORE | bits & wire.ERROR, 0, self._id)
        self._take(at)
        while at < len(data):
            size = min(wire.REPLY_PART_MAX, len(data) - at, await self._granted())
            self._channel.put(wire.CHUNK, data[at:at + size], wire.MORE if at + size < len(data) else 0, 0, self._id)
            self._take(size)
            at += size


class Channel(wire.Channel):
    """The same channel in a worker with several calls: whose call it is depends on the task."""

    __slots__ = ()
    current = property(lambda self: CALL.get(), lambda self, value: None)
    loop = None
    thread = None  # that of the loop
    streams = {}  # call id -> Stream
    flushing = False

    def put(self, kind, payload=b"", flags=0, aux=0, call_id=wire.NO_CALL):
        wire.Channel.put(self, kind, payload, flags, aux, call_id)
        if Channel.flushing:
            return
        Channel.flushing = True
        if _thread.get_ident() == Channel.thread:
            Channel.loop.call_soon(self.write)
        else:
            Channel.loop.call_soon_threadsafe(self.write)

    def write(self):
        Channel.flushing = False
        self.flush()

    def _control(self, kind, flags, aux, call_id, payload):
        stream = Channel.streams.get(call_id) if kind == wire.CREDIT else None
        if stream is not None:
            stream.grant(wire.U32.unpack(payload)[0])
        else:
            wire.Channel._control(self, kind, flags, aux, call_id, payload)


class Loop(object):
    """Runs the calls of one function."""

    def __init__(self, worker, handler):
        self.worker, self.handler, self.channel = worker, handler, worker.channel
        self.active = {}  # call id -> when its handler began
        self.loop = asyncio.new_event_loop()

    def serve(self):
        """Until STOP, and the end of what runs."""
        asyncio.set_event_loop(self.loop)
        self.channel.stop_guard()
        Channel.loop, Channel.thread = self.loop, _thread.get_ident()
        self.channel.__class__ = Channel
        self.worker.running = REQUEST.get
        self.loop.add_reader(self.channel.sock.fileno(), self.read)
        self.loop.call_soon(self.pump)
        try:
            self.loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:  # of a task that the function started
            data, bits = self.worker.failure(error)
            self.leave(None, 0, data, bits)

    def read(self):
        try:
            with self.channel.read_lock:
                self.channel._receive(_socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            os._exit(1)
        self.pump()

    def pump(self):
        pending = self.channel.pending
        while pending and len(self.active) < self.worker.per_worker:
            call = pending.popleft()
            self.active[call[0]] = time.monotonic()
            self.loop.create_task(self.run(call))
        if self.channel.stopping and not pending and not self.active:
            self.loop.stop()

    async def run(self, call):
        call_id, deadline, request_id, extension, event, flags = call
        CALL.set(call_id)
        REQUEST.set(request_id)
        worker = self.worker
        if extension and worker.per_worker == 1:
            worker.set_trace(extension)
        try:
            value = self.handler(worker.decode(event), calls.Context(request_id, deadline, extension))
            if hasattr(value, "__aiter__"):
                await self.stream(call_id, value)
                return
            value = await value
        except BaseException as error:
            data, bits = worker.failure(error)
        else:
            try:
                data, bits = worker.encode(value), 0
            except BaseException as error:
                data, bits = worker.unencodable(value, flags, error)
        await self.answer(call_id, data, bits)

    async def answer(self, call_id, data, bits):
        worker = self.worker
        micros = int((time.monotonic() - self.active[call_id]) * 1000000) & 0xFFFFFFFF
        worker.sink.end_of_call()
        if worker.exit_status is not None:
            self.leave(call_id, micros, data, bits)
        if len(data) > calls.REPLY_MAX:
            data, bits = worker.too_large(), wire.ERROR
        if bits == wire.STREAM:
            pass  # a plain generator: all of it has gone out
        elif len(data) <= wire.REPLY_PART_MAX - wire.U32.size:
            self.channel.put(wire.REPLY, wire.U32.pack(micros) + data, bits, 0, call_id)
        else:
            stream = Channel.streams[call_id] = Stream(self.channel, call_id)
            await stream.send_reply(micros, data, bits)
        self.ended(call_id)

    async def stream(self, call_id, parts):
        worker = self.worker
        stream = Channel.streams[call_id] = Stream(self.channel, call_id)
        try:
            async for part in parts:
                head, data = worker.part_of(part, stream.begun)
                if head:
                    stream.begin(wire.HTTP_HEAD, data)
                else:
                    await stream.send_soon(data)
        except BaseException as error:
            data, bits = worker.failure(error)
            if worker.exit_status is not None or not stream.begun:
                await self.answer(call_id, data, bits)
                return
            worker.sink.end_of_call()
            stream.end(wire.ERROR, worker.short(error, data))
        else:
            worker.sink.end_of_call()
            stream.end()
        self.ended(call_id)

    def ended(self, call_id):
        Channel.streams.pop(call_id, None)
        self.active.pop(call_id, None)
        self.loop.call_soon(self.pump)

    def leave(self, call_id, micros, data, bits):
        """Exit was called: every running call is answered, that of the caller as the last one, and the worker ends."""
        worker, channel = self.worker, self.channel
        others = [one for one in self.active if one != call_id]
        if call_id is None and others:
            call_id = others.pop()
        for one in others:
            report = worker.encode(calls.error_object("Runtime.ExitError", STOPPED))
            self.fail(one, report)
        if call_id is None:
            worker.leave(worker.exit_status)
        stream = Channel.streams.get(call_id)
        if stream is not None and stream.begun:
            channel.end_with(wire.CHUNK, data[:wire.REPLY_PART_MAX], wire.ERROR, call_id, worker.exit_status)
        else:
            channel.say_last(call_id, micros, data, bits, worker.exit_status)
        worker.leave(worker.exit_status)

    def fail(self, call_id, report):
        stream = Channel.streams.get(call_id)
        if stream is not None and stream.begun:
            self.channel.put(wire.CHUNK, report, wire.ERROR, 0, call_id)
        else:
            self.channel.put(wire.REPLY, wire.U32.pack(0) + report, wire.ERROR, 0, call_id)


def serve(worker, handler):
    Loop(worker, handler).serve()
