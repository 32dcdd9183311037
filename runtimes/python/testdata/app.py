"""The function that the conformance tests run: what it does depends on the event's "do"."""
import logging
import os
import sys
import time


def handler(event, context):
    do = event.get("do")
    return globals()["do_" + do](event, context) if do else {"message": "Hello " + event.get("name", "nobody")}


def stream(event, context):
    """A generator: its reply is streamed."""
    return globals()["stream_" + event["do"]](event)


def stream_parts(event):
    for part in ("one ", b"two ", bytearray("gr\u00fc\u00dfe".encode("utf-8"))):
        yield part
        time.sleep(0.02)
    print("written")


def stream_head(event):
    yield {"statusCode": 201, "headers": {"x-one": "1"}, "cookies": ["a=b"]}
    yield "body"


def stream_size(event):
    left = event["size"]
    while left > 0:
        yield b"x" * min(left, 100000)
        left -= 100000


def stream_early(event):
    raise TypeError("before the first byte")
    yield ""


def stream_midway(event):
    yield "half"
    raise IndexError("midway")


def stream_wrong(event):
    yield "half"
    yield 42


def stream_dict_late(event):
    yield "half"
    yield {"statusCode": 200}


def stream_exits(event):
    yield "half"
    sys.exit(3)


def do_error(event, context):
    raise ValueError('no "good"\n')


def do_sleep(event, context):
    time.sleep(0.6)


def do_spin(event, context):
    until = time.monotonic() + 0.6
    while time.monotonic() < until:
        pass


def do_nap(event, context):
    time.sleep(0.04)


def do_whirl(event, context):
    until = time.monotonic() + 0.04
    while time.monotonic() < until:
        pass


def do_hang(event, context):
    time.sleep(3600)


def do_log(event, context):
    logging.getLogger("x").warning("line 1")
    logging.warning("line %d", 2)


def do_flood(event, context):
    for i in range(20000):
        print("flood %d 0123456789012345678901234567890123456789" % i)


def do_longline(event, context):
    print("a" * 150000)


def do_large(event, context):
    return "x" * 999998


def do_toolarge(event, context):
    return "x" * (6 * 1024 * 1024 + 99)


def do_size(event, context):
    return len(event["big"])


def do_context(event, context):
    return {"request_id": context.aws_request_id, "name": context.function_name, "version": context.function_version,
            "arn": context.invoked_function_arn, "remaining": context.get_remaining_time_in_millis(), "greeting": os.environ.get("GREETING"),
            "home": "LEFT_OVER" in os.environ, "memory": context.memory_limit_in_mb, "cwd": os.getcwd(), "path": sys.path[0]}


def do_exit(event, context):
    sys.exit(3)


def do_exit_at_length(event, context):
    """Its stack trace is larger than a frame: frames that differ, of a file with a long name."""
    names = {"sys": sys}
    exec(compile("def f(n):\n  g(n - 1)\ndef g(n):\n  f(n) if n else sys.exit(1)", "x" * 2000, "exec"), names)
    names["f"](40)


def do_atexit(event, context):
    import atexit
    atexit.register(print, "bye")
    sys.exit()


def do_sigterm(event, context):
    import signal

    def stop(number, frame):
        print("term", int(number))
        if event.get("status") is not None:
            sys.exit(event["status"])
    signal.signal(signal.SIGTERM, stop)


def do_flood_and_exit(event, context):
    do_flood(event, context)
    sys.exit(3)


def do_unserialisable(event, context):
    return {1, 2}


def do_bytes(event, context):
    return b"\x00\x01\xff"


def do_partial(event, context):
    sys.stdout.write("out")
    sys.stderr.write("err")


def do_extension(event, context):
    return {"custom": context.client_context.custom, "trace": os.environ["_X_AMZN_TRACE_ID"], "arn": context.invoked_function_arn}


def do_memory(event, context):
    raise MemoryError()


def do_deep(event, context):
    return do_deep(event, context)


def do_surrogate(event, context):
    return "\ud800"


def do_nan(event, context):
    return [float("nan"), float("inf")]


def do_circle(event, context):
    a = {}
    a["a"] = a
    return a


def do_decimal(event, context):
    import decimal
    return [decimal.Decimal("3"), decimal.Decimal("3.5")]


def do_interrupt(event, context):
    raise KeyboardInterrupt("stop")


def do_crash(event, context):
    os._exit(9)


def do_fork(event, context):
    pid = os.fork()
    if pid == 0:
        print("from the child")
        logging.warning("from the child's logger")
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(pid, 0)
    return "parent"


def do_thread(event, context):
    import threading
    thread = threading.Thread(target=print, args=("from a thread",))
    thread.start()
    thread.join()


def do_direct(event, context):
    os.write(1, b"direct\n")
    sys.stdout.buffer.write(b"binary \xff\n")


def do_child(event, context):
    return "socket" not in os.popen("ls -l /proc/self/fd").read()


_running = 0
_most = 0


async def coroutine(event, context):
    return await globals()["co_" + event["do"]](event, context)


async def co_hello(event, context):
    return {"message": "Hello " + event.get("name", "nobody"), "id": context.aws_request_id}


async def co_tick(event, context):
    import asyncio
    global _running, _most
    _running += 1
    _most = max(_most, _running)
    print("start %d" % event["n"])
    logging.getLogger().warning("log %d", event["n"])
    await asyncio.sleep(event["ms"] / 1000.0)
    await asyncio.gather(child(event["n"]), asyncio.sleep(0))
    _running -= 1
    return [event["n"], _most]


async def child(number):
    print("child %d" % number)


async def co_error(event, context):
    raise ValueError("async")


async def co_large(event, context):
    return "x" * event["size"]


async def co_bytes(event, context):
    return {1, 2}


async def co_exit(event, context):
    import asyncio
    await asyncio.sleep(0.05)
    sys.exit(3)


async def co_spin(event, context):
    import asyncio
    for _ in range(60):
        time.sleep(0.01)
        await asyncio.sleep(0)
    return "spun"


async def aparts(event, context):
    import asyncio
    if event["do"] == "head":
        yield {"statusCode": 201}
    left = event.get("size", 0)
    while left > 0:
        yield b"x" * min(left, 100000)
        left -= 100000
    yield "body"
    await asyncio.sleep(0.01)
    if event["do"] == "fail":
        raise IndexError("midway")


def returns_awaitable(event, context):
    return co_hello(event, context)
