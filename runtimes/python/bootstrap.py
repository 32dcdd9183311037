"""Hearth's Python worker: started as `/usr/bin/python3 -I .../bootstrap.py` with the channel on fd 3 (see ../protocol.md).

It boots without user code, exercises its own load and call path once, says HELLO and is parked until INIT.
"""
import atexit
import gc
import json
import linecache
import logging
import os
import sys
import time
import traceback

SHIM_PATH = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
# Only a worker with an environment of its own is started without -I, and has it there.
sys.path[:] = [path for path in sys.path if path != SHIM_PATH]
sys.path.insert(0, SHIM_PATH)

import _hearth_calls as calls  # noqa: E402 (the path is set above)
import _hearth_channel as wire  # noqa: E402
import _hearth_logs as logs  # noqa: E402

sys.path.remove(SHIM_PATH)

EXERCISE_ID = b"\1" * 8
Generator = type(_ for _ in ())


class BadPart(TypeError):
    """What a generator yielded is no part of a reply."""


def shim_module(name):
    """A module of the shim that is not needed by everyone."""
    if name not in sys.modules:
        sys.path.insert(0, SHIM_PATH)
        try:
            __import__(name)
        finally:
            sys.path.remove(SHIM_PATH)
            sys.path_importer_cache.pop(SHIM_PATH, None)
    return sys.modules[name]


class SnapshotModules(object):
    """Last on sys.meta_path: what a function finds as `hearth` or `snapshot_restore_py` if it brings no such module itself."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return type(json.__spec__)(name, cls) if name in ("hearth", "snapshot_restore_py") else None

    @staticmethod
    def create_module(spec):
        return None

    @staticmethod
    def exec_module(module):
        shim_module("_hearth_snapshot").fill(module)


class Worker(object):
    def __init__(self, channel):
        self.channel = channel
        self.sink = logs.LogSink(channel)
        self.stdout = logs.LogStream(self.sink, 1, "<stdout>")
        self.stderr = logs.LogStream(self.sink, 2, "<stderr>")
        self.encode = calls.make_encode()
        self.running = None  # the request id of the executing call, 16 bytes
        self.per_worker = 1
        self.exit_status = None  # set by a failure after which the worker must not go on
        self.moulding = False  # a fork is the shim's own: the child becomes a worker

    def running_text(self):
        running = self.running() if callable(self.running) else self.running  # of several calls, the task's (_hearth_async.py)
        return calls.request_id_text(running) if running else ""

    # ---- calls

    # Runs calls until STOP. Everything that is looked up twice is a local here: this loop is the price of each call.
    #
    # A step: claim (popleft, which no RECALL can undo), run, queue the reply, flush if it or an unsent byte took long.
    # With `once`, for the exercise at boot, it sends nothing and returns when no call is left.
    def serve(self, handler, once=False):
        channel = self.channel
        pending, out, claim = channel.pending, channel.out, channel.pending.popleft
        stdout, stderr, sink = self.stdout, self.stderr, self.sink
        pack, encode, scan = wire.REPLY_HEAD.pack, self.encode, calls.scan_once
        Context = calls.Context
        no_call, reply_kind, small = wire.NO_CALL, wire.REPLY, wire.REPLY_PART_MAX
        now, max_age = time.monotonic, 3600.0 if once else wire.REPLY_AGE_S
        start = now()
        while True:
            try:
                call_id, deadline, request_id, extension, event, flags = claim()
            except IndexError:
                if once or (channel.stopping and not pending):
                    return
                if out:
                    channel.flush()
                channel.wait()
                start = now()
                continue
            self.running = request_id
            channel.current = call_id
            bits = 0
            try:
                if extension:
                    self.set_trace(extension)
                try:
                    value, end = scan(event, 0)
                    if end != len(event):
                        value = calls.decode_event(event)
                except (StopIteration, TypeError, ValueError, RecursionError):
                    value = self.decode(event)
                value = handler(value, Context(request_id, deadline, extension))
            except BaseException as error:
                data, bits = self.failure(error)
            else:
                try:
                    data = encode(value)
                except BaseException as error:
                    data, bits = self.unencodable(value, flags, error)
            value = event = None
            if stdout.partial or stderr.partial or sink.dropped:
                sink.end_of_call()
            end = now()
            if bits and self.is_over(call_id, int((end - start) * 1000000) & 0xFFFFFFFF, data, bits):
                start = now()
                continue
            if len(data) <= small:
                if not out:
                    channel.since = end
                out += pack(len(data) + 4, reply_kind, bits, 0, call_id, int((end - start) * 1000000) & 0xFFFFFFFF) + data
            else:
                self.reply_large(call_id, int((end - start) * 1000000) & 0xFFFFFFFF, data, bits)
            channel.current, self.running = no_call, None
            if end - start > max_age or end - channel.since > max_age:  # a slow function's next call may be slow as well
                if out:
                    channel.flush()
                end = now()
            start = end

    def stream(self, call_id, parts):
        """What a generator yields: bytes and text, and ahead of them at most one dict, the head of an HTTP response."""
        stream = self.channel.open_stream(call_id)
        try:
            for part in parts:
                head, data = self.part_of(part, stream.begun)
                if head:
                    stream.begin(wire.HTTP_HEAD, data)
                    self.channel.flush()
                else:
                    stream.send(data)
        except BaseException as error:
            report, bits = self.failure(error)
            self.sink.end_of_call()
            report = self.short(error, report)
            kind, data = (wire.CHUNK, report) if stream.begun else (wire.REPLY, wire.U32.pack(0) + report)
            if self.exit_status is not None:
                self.channel.current = wire.NO_CALL
                self.running = None
                self.channel.end_with(kind, data, bits, call_id, self.exit_status)
                self.leave(self.exit_status)
            self.channel.put(kind, data, bits, 0, call_id)
            self.channel.credit_id = wire.NO_CALL
        else:
            self.sink.end_of_call()
            stream.end()
        self.channel.flush()

    def part_of(self, part, begun):
        """What a generator yielded: (is it the head of the response?, its bytes)."""
        if isinstance(part, str):
            return False, part.encode("utf-8", "surrogatepass")
        if isinstance(part, (bytes, bytearray, memoryview)):
            return False, bytes(part)
        if isinstance(part, dict) and not begun:
            return True, self.encode(dict({"statusCode": 200}, **part))
        raise BadPart("a part of a streamed reply is %s: bytes or text is expected%s"
                      % (type(part).__name__, ", a dict only as the first" if isinstance(part, dict) else ""))

    def short(self, error, report):
        """An error's report for one frame."""
        if len(report) <= wire.REPLY_PART_MAX:
            return report
        return self.encode(calls.error_object(type(error).__name__, str(error)[:1000], (), self.running_text()))

    def decode(self, event):
        try:
            return calls.decode_event(event)
        except (ValueError, RecursionError) as error:
            raise calls.BadEvent("Unable to unmarshal input: %s" % error)

    def reply_large(self, call_id, micros, data, bits):
        if len(data) > calls.REPLY_MAX:
            data, bits = self.too_large(), wire.ERROR
        self.channel.send_large(call_id, micros, data, bits)

    def too_large(self):
        return self.encode(calls.error_object(
            "Function.ResponseSizeTooLarge",
            "Response payload size exceeded maximum allowed payload size (%d bytes)." % calls.REPLY_MAX, (), self.running_text()))

    def is_over(self, call_id, micros, data, bits):
        """Was the call's reply streamed? Does not return if the call ended the worker."""
        if bits != wire.STREAM:
            if self.exit_status is not None:
                self.last_call(call_id, micros, data, bits)
            return False
        self.channel.current = wire.NO_CALL
        self.running = None
        return True

    def last_call(self, call_id, micros, data, bits):
        """Answers the call that ended the worker, sees that no other call is lost, and exits."""
        self.channel.current = wire.NO_CALL
        self.running = None
        self.channel.say_last(call_id, micros, data, bits, self.exit_status)
        self.leave(self.exit_status)

    def failure(self, error):
        """The reply for what came out of the handler: error JSON and the frame's flags."""
        request = self.running_text()
        stack = calls.user_stack(error.__traceback__)
        if isinstance(error, calls.BadEvent):
            report = calls.error_object("Runtime.UnmarshalError", str(error), (), request)
        elif isinstance(error, BadPart):
            report = calls.error_object("Runtime.MarshalError", "Unable to marshal response: %s" % error, (), request)
        elif isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
            self.exit_status = code & 0xFF
            text = "exit status %d" % code if code else "the handler called exit"
            report = calls.error_object("Runtime.ExitError", "RequestId: %s Error: Runtime exited with error: %s" % (request, text),
                                        stack, request)
        elif isinstance(error, MemoryError):
            self.exit_status = 1
            report = calls.error_object("Runtime.OutOfMemory", "The function needs more memory than its limit of %s MB allows"
                                        % calls.Context.memory_limit_in_mb, stack, request)
        else:
            report = calls.exception_object(error, stack, request)
        self.sink.record(calls.describe(report), logs.ERROR_LEVEL)
        return self.encode(report), wire.ERROR

    def unencodable(self, value, flags, error):
        """The reply for a value that JSON can't say. What a generator yields is streamed. Behind HTTP, plain bytes become a binary response; elsewhere they are refused, as in Lambda."""
        if isinstance(value, Generator):
            self.stream(self.channel.current, value)
            return b"", wire.STREAM
        if hasattr(value, "__await__") and not callable(self.running):
            return self.awaited(value)
        if flags & wire.HTTP and isinstance(value, (bytes, bytearray)):
            import base64
            return self.encode({"statusCode": 200, "headers": {"content-type": "application/octet-stream"}, "isBase64Encoded": True,
                                "body": base64.b64encode(value).decode("ascii")}), 0
        if isinstance(error, (MemoryError, SystemExit)):
            return self.failure(error)
        report = calls.error_object("Runtime.MarshalError", "Unable to marshal response: %s" % error, (), self.running_text())
        self.sink.record(calls.describe(report), logs.ERROR_LEVEL)
        return self.encode(report), wire.ERROR

    def awaited(self, value):
        """The reply for what a plain handler returned to be awaited."""
        try:
            value = shim_module("_hearth_async").finish(value)
        except BaseException as error:
            return self.failure(error)
        try:
            return self.encode(value), 0
        except BaseException as error:
            return self.unencodable(value, 0, error)

    def set_trace(self, extension):
        try:
            trace = json.loads(extension.decode("utf-8")).get("traceId")
        except ValueError:
            return
        if isinstance(trace, str):
            os.environ["_X_AMZN_TRACE_ID"] = trace

    def stopped(self):
        """At STOP: a function that handles SIGTERM hears of its end by that, as in Lambda. Returns the exit status."""
        signal = sys.modules.get("signal")
        handler = signal.getsignal(signal.SIGTERM) if signal else None
        if not callable(handler):
            return 0
        try:
            handler(signal.SIGTERM, None)
        except SystemExit as error:
            return error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException as error:
            self.failure(error)
        return 0

    def leave(self, status):
        """Says everything and exits, without waiting for the function's threads."""
        try:
            atexit._run_exitfuncs()
        except BaseException:
            status = status or 1
        self.sink.end_of_call()
        self.channel.flush()
        os._exit(status)

    # ---- life

    def boot(self):
        """Up to HELLO."""
        self.take_over()
        self.exercise()
        self.park()

    def take_over(self):
        """Puts the worker's own things in the places of Python's."""
        sys.stdout, sys.stderr = self.stdout, self.stderr
        sys.__stdout__, sys.__stderr__ = self.stdout, self.stderr
        sys.meta_path.append(SnapshotModules)
        root_logger = logging.getLogger()
        root_logger.addHandler(logs.FunctionLogHandler(self.sink, self.running_text))
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.after_fork)
        else:  # Python 3.6
            real_fork = os.fork

            def fork():
                pid = real_fork()
                if pid == 0:
                    self.after_fork()
                return pid

            os.fork = fork

    def exercise(self):
        """What runs once is fast the next time: a dummy function goes through loading, calls, errors and logs."""
        channel = self.channel
        sys.path.insert(0, SHIM_PATH)
        handler = calls.load_handler("_hearth_exercise.handler")
        try:
            calls.load_handler("_hearth_exercise.missing")
        except calls.LoadError:
            pass
        sys.path.remove(SHIM_PATH)
        del sys.modules["_hearth_exercise"]
        sys.path_importer_cache.pop(SHIM_PATH, None)
        deadline = int(time.monotonic() * 1000000) + 1000000
        for event in ('{"name":"world"}', '{"fail":1}', "[", ""):
            channel.pending.append((EXERCISE_ID, deadline, bytes(16), None, event, 0))
        self.serve(handler, once=True)
        del channel.out[:]
        linecache.clearcache()

    def settle(self):
        """What is there now stays: the collector has no more to do with it, and its pages stay shared with what is forked from here."""
        gc.collect()
        if hasattr(gc, "freeze"):
            gc.freeze()

    def park(self):
        self.channel.start_guard()
        self.settle()
        self.say_hello({})

    def say_hello(self, more):
        hello = {"protocol": 1, "runtime": "python3", "version": "%d.%d.%d" % sys.version_info[:3]}
        hello.update(more)
        self.channel.put(wire.HELLO, self.encode(hello))
        self.channel.flush()

    def wait_for_init(self):
        channel = self.channel
        while channel.init is None:
            if channel.stopping:
                os._exit(0)
            channel.wait()
            channel.flush()
        init, channel.init = channel.init, None
        return json.loads(init.decode("utf-8"))

    def init(self, init):
        """Becomes the worker of one function. Returns its handler, once for each fork if it becomes a zygote; after INIT_ERROR it exits with 1."""
        start = time.monotonic()
        os.environ.clear()
        os.environ.update(init.get("environment", {}))
        time.tzset()
        root = init.get("root", "/var/task")
        first = [root] + [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and p != root]
        sys.path[:] = first + [p for p in sys.path if p not in first]
        self.sink.configure(init.get("log_rate", logs.RATE), init.get("log_burst", logs.BURST))
        calls.Context.configure(init)
        self.per_worker = max(1, init.get("per_worker", 1))
        gc.disable()
        try:
            try:
                os.chdir(root)
            except OSError as error:
                raise calls.LoadError(calls.error_object("Runtime.ImportModuleError", "Unable to enter the function's folder: %s" % error))
            if "HEARTH_DEBUG_PORT" in os.environ:
                self.open_debugger(int(os.environ["HEARTH_DEBUG_PORT"]))
            handler = calls.load_handler(init.get("handler", ""))
        except calls.LoadError as error:
            self.fail_init(error.report)
        gc.enable()
        if init.get("zygote") is True:
            shim_module("_hearth_zygote").become_zygote(self, init, start)
        else:
            self.say_ready(start)
        return handler

    def fail_init(self, report):
        self.sink.record(calls.describe(report), logs.ERROR_LEVEL)
        self.sink.end_of_call()
        self.channel.put(wire.INIT_ERROR, self.encode(report))
        self.leave(1)

    def say_ready(self, start):
        self.sink.end_of_call()
        self.channel.put(wire.READY, wire.U32.pack(int((time.monotonic() - start) * 1000000) & 0xFFFFFFFF))
        self.channel.flush()

    def restart(self, init):
        """What an ordinary worker has from its start, anew for one that was forked from a zygote."""
        self.channel.reset()
        self.sink.restart()
        self.sink.configure(init.get("log_rate", logs.RATE), init.get("log_burst", logs.BURST))

    def open_debugger(self, port):
        """debugpy, which is a package of the function's own, for `hearth dev --debug`."""
        try:
            import debugpy
            debugpy.listen(("127.0.0.1", port), in_process_debug_adapter=True)
        except Exception as error:
            raise calls.LoadError(calls.error_object("Runtime.DebuggerError", "debugpy could not be started: %s" % error))

    def after_fork(self):
        """A child of the function must not write frames: its output goes to the pipes, and the channel is the parent's alone."""
        if self.moulding:
            return
        for fd, name in ((1, "stdout"), (2, "stderr")):
            plain = open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
            setattr(sys, name, plain)
            setattr(sys, "__%s__" % name, plain)
        self.sink.lock = logs.threading.RLock()
        self.sink.child = sys.stderr
        self.channel.sock.close()


def main():
    worker = Worker(wire.Channel(wire.CHANNEL_FD))
    try:
        if wire.is_zygote(wire.CHANNEL_FD):
            shim_module("_hearth_generic").serve(worker)
        else:
            worker.boot()
        handler = worker.init(worker.wait_for_init())
        if calls.is_coroutine(handler):
            shim_module("_hearth_async").serve(worker, handler)
        else:
            worker.serve(handler)
        worker.leave(worker.stopped())
    except BaseException:
        os.write(2, ("hearth: the worker failed: " + traceback.format_exc()).encode("utf-8", "replace"))
        os._exit(70)


if __name__ == "__main__":
    main()
