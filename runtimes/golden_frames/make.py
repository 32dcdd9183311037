#!/usr/bin/env python3
"""Writes the golden frames of protocol.md beside this file: one NAME.bin a frame, and index.json that says what each holds.

Run it after a change of the protocol and commit what it wrote; the engine's and every shim's tests read the files, never this script.
"""
import json, pathlib, struct

HERE = pathlib.Path(__file__).parent
MORE, ERROR, STREAM, HTTP, LAST = 1, 2, 4, 8, 16
REQUEST_ID = bytes(range(16))
DEADLINE_US = 123_456_789_012


def frame(kind, payload=b"", flags=0, aux=0, slot=0, generation=0):
    return struct.pack("<IBBHII", len(payload), kind, flags, aux, slot, generation) + payload


def call(event, extension=b"", **header):
    return frame(0x02, struct.pack("<Q", DEADLINE_US) + REQUEST_ID + extension + event, aux=len(extension), **header)


INIT = {
    "protocol": 1, "function": "hello", "version": "$LATEST", "revision": "ab" * 32,
    "arn": "arn:aws:lambda:us-east-1:000000000000:function:hello", "handler": "app.handler", "root": "/var/task",
    "environment": {"GREETING": "grüß"}, "memory_mb": 128, "timeout_ms": 3000, "per_worker": 1,
    "log_rate": 1048576, "log_burst": 4194304,
}
ERROR_JSON = {"errorMessage": "no", "errorType": "ValueError", "stackTrace": ["line"]}


def text(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


FRAMES = {
    "init": frame(0x01, text(INIT)),
    "call": call(b'{"name":"world"}', slot=7, generation=9),
    "call_http": call(b'{"version":"2.0"}', flags=HTTP, slot=7, generation=10),
    "call_extension": call(b"{}", b'{"traceId":"Root=1"}', slot=1, generation=2),
    "call_empty": call(b"", slot=1, generation=3),
    "call_more": call(b'{"big":"', flags=MORE, slot=0xFFFFFFFE, generation=0xFFFFFFFF),
    "body_more": frame(0x03, b"aaaa", flags=MORE, slot=0xFFFFFFFE, generation=0xFFFFFFFF),
    "body_last": frame(0x03, b'"}', slot=0xFFFFFFFE, generation=0xFFFFFFFF),
    "cancel": frame(0x04, slot=7, generation=9),
    "recall": frame(0x05, slot=7, generation=10),
    "ping": frame(0x06, aux=513),
    "credit": frame(0x07, struct.pack("<I", 65536), slot=7, generation=9),
    "stop": frame(0x08),
    "init_zygote": frame(0x01, text(dict(INIT, zygote=True))),
    "fork": frame(0x09, slot=5, generation=6),
    "environment": frame(0x0A, "GREETING=grüß\0LD_LIBRARY_PATH=/var/task/lib\0EMPTY=\0".encode()),
    "init_cache": frame(0x01, text(dict(INIT, compile_cache=4194304))),
    "cache_given_more": frame(0x0B, bytes(range(256)) * 256, flags=MORE),
    "cache_given_last": frame(0x0B, b"end"),
    "hello": frame(0x81, text({"protocol": 1, "runtime": "python3", "version": "3.11.2"})),
    "ready": frame(0x82, struct.pack("<I", 1500)),
    "init_error": frame(0x83, text(ERROR_JSON)),
    "reply": frame(0x84, struct.pack("<I", 42) + b'{"message":"Hello world"}', slot=7, generation=9),
    "reply_error": frame(0x84, struct.pack("<I", 42) + text(ERROR_JSON), flags=ERROR, slot=7, generation=9),
    "reply_last": frame(0x84, struct.pack("<I", 42) + text(ERROR_JSON), flags=LAST | ERROR, slot=7, generation=9),
    "reply_more": frame(0x84, struct.pack("<I", 42) + b"part one", flags=MORE, slot=7, generation=9),
    "reply_stream": frame(0x84, struct.pack("<I", 0) + b"first", flags=MORE | STREAM, slot=7, generation=9),
    "reply_stream_head": frame(0x84, struct.pack("<I", 0) + text({"statusCode": 201, "headers": {"x-one": "1"}, "cookies": ["a=b"]}),
                               flags=MORE | STREAM, aux=1, slot=7, generation=9),
    "reply_stream_type": frame(0x84, struct.pack("<I", 0) + b"text/event-stream", flags=MORE | STREAM, aux=2, slot=7, generation=9),
    "chunk_more": frame(0x85, b"part two", flags=MORE, slot=7, generation=9),
    "chunk_last": frame(0x85, b"part three", slot=7, generation=9),
    "chunk_broken": frame(0x85, text(ERROR_JSON), flags=ERROR, slot=7, generation=9),
    "pong": frame(0x86, aux=513),
    "handback": frame(0x87, slot=7, generation=10),
    "log": frame(0x88, "grüße\n".encode(), aux=2, slot=7, generation=9),
    "log_outside": frame(0x88, b"loading\n"),
    "zygote": frame(0x89, struct.pack("<I", 1500)),
    "zygote_error": frame(0x89, text(ERROR_JSON), flags=ERROR),
    "forked": frame(0x8A, slot=5, generation=6),
    "forked_error": frame(0x8A, text(ERROR_JSON), flags=ERROR, slot=5, generation=6),
    "ready_cache_used": frame(0x82, struct.pack("<I", 1500), aux=1),
    "cache_made_more": frame(0x8B, bytes(range(256)) * 256, flags=MORE),
    "cache_made_last": frame(0x8B, b"end"),
    "hello_forked": frame(0x81, text({"protocol": 1, "runtime": "python3", "version": "3.11.2", "forked": True})),
}

index = {}
for name, data in FRAMES.items():
    (HERE / f"{name}.bin").write_bytes(data)
    length, kind, flags, aux, slot, generation = struct.unpack_from("<IBBHII", data)
    index[name] = {"type": kind, "flags": flags, "aux": aux, "slot": slot, "generation": generation, "length": length}
(HERE / "index.json").write_text(json.dumps(index, indent=1) + "\n")
