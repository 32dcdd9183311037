"""The Node worker against the conformance cases, and what is particular to Node."""
import json
import os
import pathlib
import struct
import subprocess
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "testing"))
from conformance import HELLO_WORLD, ScriptConformance  # noqa: E402
from fake_engine import (CHUNK, CREDIT, ERROR, HANDBACK, INIT_ERROR, LAST, LOG, MORE, PING, PONG, RECALL, REPLY, STOP, STREAM, call,  # noqa: E402
                         frame)

NODE = os.environ.get("HEARTH_TEST_NODE", "/usr/bin/node")
VERSION = tuple(int(part) for part in subprocess.run([NODE, "-p", "process.versions.node"], stdout=subprocess.PIPE, check=True,
                                                     encoding="ascii").stdout.split("."))
needs_modules = unittest.skipIf(VERSION < (12, 17), "this Node has no ES modules")
ROOT = HERE / "testdata"


class Worker(ScriptConformance, unittest.TestCase):
    command = [NODE, str(HERE / "bootstrap.cjs")]
    root = ROOT
    handler = "index.handler"
    runtime = "nodejs"
    answers_while_spinning = False  # a handler that computes keeps the loop from turning

    def result(self, handler, event, root=ROOT):
        engine = self.worker()
        engine.init(root, handler)
        return engine.run(event)

    @unittest.skipIf(VERSION >= (12, 17), "this Node has ES modules")
    def test_es_modules_of_a_node_without_them_are_an_error_that_says_so(self):
        error = self.init_error(ROOT / "esm", "index.handler")
        self.assertEqual(error["errorType"], "Runtime.ImportModuleError")
        for part in ("12.17", ".".join(map(str, VERSION)), "index.mjs"):
            self.assertIn(part, error["errorMessage"])

    @needs_modules
    def test_es_modules(self):
        self.assertEqual(self.result("index.handler", {"x": 1}, ROOT / "esm").value, {"esm": 1})
        self.assertEqual(self.result("app.handler", {}, ROOT / "module").value, 42)

    @unittest.skipIf(VERSION < (14, 8), "this Node has no await at the top level")
    def test_a_module_that_waits_while_it_is_loaded_is_run_once(self):
        outcome = self.result("waits.handler", {}, ROOT / "esm")
        self.assertEqual((outcome.value["ready"], outcome.value["loads"]), ("waited", 1))

    @needs_modules
    def test_loading_a_module_prints_nothing(self):
        engine = self.worker()
        engine.init(ROOT / "esm", "index.handler")
        outcome = engine.run({"x": 1})
        self.assertEqual((outcome.logs, engine.direct), ([], {1: b"", 2: b""}))

    def test_the_environment_is_that_of_init_and_nothing_else(self):
        engine = self.worker()
        wanted = {"TZ": "Asia/Tokyo", "PATH": "/usr/bin:/bin", "NODE_OPTIONS": "--no-such-option", "constructor": "a plain name"}
        engine.init(ROOT, "index.handler", environment=wanted)
        self.assertEqual(engine.run({"do": "environment"}).value, wanted)
        self.assertEqual(engine.run({"do": "hour"}).value, 9)

    def test_a_parked_worker_shows_nothing_of_its_exercise(self):
        engine = self.ready()
        value = engine.run({"do": "traces"}).value
        self.assertEqual(value, {"cached": [], "gc": "undefined", "exercised": False})

    def test_nested_handlers_and_folders(self):
        self.assertEqual(self.result("index.nested.handler", {}).value, "nested")
        if VERSION >= (12, 17):
            self.assertEqual(self.result("esm/index.handler", {"x": 2}).value, {"esm": 2})

    def test_callback_style(self):
        self.assertEqual(self.result("index.callback", {}).value, "called back")
        outcome = self.result("index.callback", {"do": "error"})
        self.assertEqual((outcome.is_error, outcome.value["errorType"], outcome.value["errorMessage"]), (True, "TypeError", "by callback"))
        self.assertEqual(self.result("index.callback", {"do": "succeed"}).value, "succeeded")

    def test_what_a_handler_with_a_callback_returns_is_no_reply(self):
        self.assertEqual(self.result("index.returns", {}).value, "called back")

    def test_a_callback_waits_for_an_empty_loop_unless_told_not_to(self):
        self.assertEqual(self.result("index.callback", {"do": "waits"}).value, True)
        engine = self.worker()
        engine.init(ROOT, "index.callback")
        sent = time.monotonic()
        self.assertEqual(engine.run({"do": "at once"}).value, "at once")
        self.assertLess(time.monotonic() - sent, 4)
        self.assertEqual(engine.run({}, 2, 2, timeout_s=30).value, "called back")

    def test_a_callback_that_is_never_called_gives_null(self):
        engine = self.worker()
        engine.init(ROOT, "index.callback")
        engine.send(call({"do": "never"}, 1) + call({"do": "never"}, 2))
        self.assertEqual(engine.outcome(1).data, b"null")
        self.assertEqual(engine.outcome(2).data, b"null")
        self.assertEqual(engine.run({}, 3).value, "called back")

    def test_callbacks_of_several_calls_at_once(self):
        engine = self.worker()
        engine.init(ROOT, "index.callback", per_worker=4)
        engine.send(call({"do": "never"}, 1) + call({}, 2) + call({"do": "never"}, 3) + call({"do": "succeed"}, 4) + call({}, 5))
        ended = {got.slot: got.payload[4:] for got in (engine.receive() for _ in range(5))}
        self.assertEqual(ended, {1: b"null", 2: b'"called back"', 3: b"null", 4: b'"succeeded"', 5: b'"called back"'})

    def test_plain_values_and_undefined(self):
        engine = self.ready()
        self.assertEqual(engine.run({"do": "value"}).value, {"plain": True})
        self.assertEqual(engine.run({"do": "nothing"}).data, b"null")

    def test_errors_have_lambdas_shape(self):
        value = self.ready().run({"do": "error"}).value
        self.assertEqual(list(value), ["errorType", "errorMessage", "trace", "stackTrace"])
        self.assertIn("index.js", value["stackTrace"][0])
        self.assertNotIn("bootstrap.cjs", str(value))
        self.assertEqual(self.ready().run({"do": "string"}).value["errorMessage"], "a string")

    def test_an_unhandled_rejection_ends_the_worker_after_an_error_reply(self):
        engine = self.ready()
        engine.send(call({"do": "rejection"}, 1) + call({}, 2))
        error = self.last_reply(engine, (2,))
        self.assertEqual(error["errorType"], "Runtime.UnhandledPromiseRejection")
        self.assertIn("TypeError: forgotten", error["errorMessage"])
        engine.send(frame(STOP))
        self.assertEqual(engine.until_gone(), [])
        self.assertEqual(engine.exit_status(), 1)

    def test_an_uncaught_exception_ends_the_worker_after_an_error_reply(self):
        engine = self.ready()
        outcome = engine.run({"do": "uncaught"})
        self.assertEqual((outcome.value["errorType"], outcome.value["errorMessage"]), ("RangeError", "thrown late"))
        self.assertEqual(outcome.flags, [ERROR | LAST])
        self.assertIn("[ERROR] RangeError: thrown late\n", outcome.text)
        self.assertEqual(engine.exit_status(), 1)

    def test_all_running_calls_are_answered_when_the_worker_ends(self):
        engine = self.ready(per_worker=3)
        engine.send(call({"do": "tick", "n": 1, "ms": 9000}, 1) + call({"do": "large"}, 2))
        self.assertEqual(engine.expect(REPLY).slot, 2)
        engine.send(call({"do": "uncaught"}, 3) + call({"name": "world"}, 4))
        frames = [engine.expect_any(REPLY, CHUNK, HANDBACK)]
        while not frames[-1].flags & LAST:
            frames.append(engine.expect_any(REPLY, CHUNK, HANDBACK))
        ends = [(one.kind, one.slot, one.flags) for one in frames if not one.flags & MORE]
        self.assertEqual(ends, [(HANDBACK, 4, 0), (REPLY, 1, ERROR), (CHUNK, 2, ERROR), (REPLY, 3, ERROR | LAST)])

    def test_an_error_between_calls_ends_the_worker_and_loses_none(self):
        engine = self.ready()
        engine.run({"do": "delayed"})
        time.sleep(0.3)
        engine.send(call({"name": "world"}, 2))
        self.assertEqual((engine.expect(HANDBACK).slot), 2)
        engine.send(frame(STOP))
        self.assertEqual(engine.exit_status(), 1)

    def test_what_exit_listeners_print_comes_behind_the_last_reply(self):
        engine = self.ready()
        engine.send(call({"do": "listener"}, 1))
        self.assertEqual(self.last_reply(engine, ())["errorType"], "Runtime.ExitError")
        engine.send(frame(STOP))
        self.assertEqual([one.payload for one in engine.until_gone()], [b"bye\n"])

    def test_a_crash_ends_the_stream(self):
        engine = self.ready()
        engine.send(call({"do": "crash"}))
        self.assertEqual(engine.until_gone(), [])
        self.assertEqual(engine.exit_status(), 9)

    def test_load_errors(self):
        folder = ROOT / "broken"
        error = self.init_error(folder, "syntax.handler")
        self.assertEqual(error["errorType"], "Runtime.UserCodeSyntaxError")
        self.assertIn("syntax.js:4", error["errorMessage"])
        if VERSION >= (12, 17):
            self.assertEqual(self.init_error(folder, "syntax_esm.handler")["errorType"], "Runtime.UserCodeSyntaxError")
        error = self.init_error(folder, "requires.handler")
        self.assertEqual(error["errorType"], "Runtime.ImportModuleError")
        self.assertIn("nowhere-to-be-found", error["errorMessage"])
        error = self.init_error(folder, "throws.handler")
        self.assertEqual((error["errorType"], error["errorMessage"]), ("RangeError", "at load"))
        self.assertIn("throws.js:1", error["trace"][-1] + str(error["trace"]))
        self.assertEqual(self.init_error(folder, "number.handler")["errorType"], "Runtime.HandlerNotFound")

    def test_exit_while_loading(self):
        engine = self.worker()
        engine.init(ROOT / "broken", "exits.handler", wait=False)
        log = engine.receive()
        self.assertTrue(log.payload.startswith(b"[ERROR] Runtime.ExitError: "), log.payload)
        self.assertEqual(engine.receive().kind, INIT_ERROR)
        engine.exit_status()

    def streamed(self, event, **more):
        engine = self.worker()
        engine.init(ROOT, "index.stream", **more)
        return engine, engine.run(event)

    def test_a_streamed_reply_goes_out_part_by_part(self):
        engine = self.worker()
        engine.init(ROOT, "index.stream")
        engine.send(call({"do": "parts"}))
        first = engine.expect(REPLY)
        self.assertEqual((first.flags, first.aux, first.payload), (STREAM | MORE, 2, bytes(4) + b"text/plain"))
        times = []
        for text in ("one ", "two ", "grüße"):
            part = engine.expect(CHUNK)
            self.assertEqual((part.flags, part.payload.decode()), (MORE, text))
            times.append(part.at)
        self.assertGreater(times[2] - times[0], 0.03)
        log = engine.receive()
        self.assertEqual((log.kind, log.payload, log.slot), (LOG, b"written\n", 1))
        end = engine.expect(CHUNK)
        self.assertEqual((end.flags, end.payload), (0, b""))
        self.assertEqual(engine.run({"do": "sync"}, 2, 2).data, b"no promise")

    def test_the_head_of_an_http_stream_goes_in_front(self):
        engine = self.worker()
        engine.init(ROOT, "index.stream")
        engine.send(call({"do": "head"}))
        first = engine.expect(REPLY)
        self.assertEqual((first.flags, first.aux), (STREAM | MORE, 1))
        self.assertEqual(json.loads(first.payload[4:]), {"statusCode": 201, "headers": {"x-one": "1"}, "cookies": ["a=b"]})
        self.assertEqual(engine.expect(CHUNK).payload, b"body")

    def test_streams_wait_for_credit_and_come_whole(self):
        for size in (0, 1, 65532, 65533, 300_000, 5_000_000):
            with self.subTest(size):
                outcome = self.streamed({"do": "size", "size": size})[1]
                self.assertEqual((len(outcome.data), max(outcome.sizes) <= 65536), (size, True))
        engine = self.worker()
        engine.init(ROOT, "index.stream")
        engine.credit = False
        engine.send(call({"do": "size", "size": 1_000_000}))
        got = len(engine.expect(REPLY).payload) - 4
        while got < 262_144:
            got += len(engine.expect(CHUNK).payload)
        self.assertEqual(got, 262_144)
        self.assertTrue(engine.silent_for(0.2))
        engine.send(frame(CREDIT, struct.pack("<I", 1000), 0, 0, 1, 1))
        self.assertEqual(len(engine.expect(CHUNK).payload), 1000)

    def test_how_streams_end(self):
        for what, text in (("empty", b""), ("forgotten", b"never ended"), ("late", b"late"), ("piped", b"abc"), ("sync", b"no promise")):
            with self.subTest(what):
                outcome = self.streamed({"do": what})[1]
                self.assertEqual((outcome.data, outcome.is_error), (text, False))

    def test_the_next_call_waits_for_the_handler_not_only_for_its_stream(self):
        engine = self.worker()
        engine.init(ROOT, "index.stream")
        engine.send(call({"do": "after"}, 1) + call({"do": "count"}, 2))
        self.assertEqual(engine.outcome(1).data, b"over")
        self.assertEqual(engine.outcome(2).data, b"1")

    def test_a_stream_that_fails(self):
        engine, outcome = self.streamed({"do": "early"})
        self.assertEqual((outcome.is_error, outcome.value["errorType"]), (True, "TypeError"))
        for what, kind in (("midway", "RangeError"), ("destroyed", "Runtime.TruncatedResponse")):
            with self.subTest(what):
                engine.send(call({"do": what}, 3))
                self.assertEqual(engine.expect(REPLY, ).payload, bytes(4) + b"half")
                broken = engine.expect(CHUNK)
                self.assertEqual((broken.flags, json.loads(broken.payload)["errorType"]), (ERROR, kind))
                self.assertEqual(engine.run({"do": "sync"}, 4, 4).data, b"no promise")

    def test_a_worker_that_exits_in_a_stream_breaks_it_off(self):
        engine = self.worker()
        engine.init(ROOT, "index.stream")
        engine.send(call({"do": "exits"}))
        self.assertEqual(engine.expect(REPLY).payload, bytes(4) + b"half")
        broken = engine.expect(CHUNK)
        self.assertEqual((broken.flags, json.loads(broken.payload)["errorType"]), (ERROR | LAST, "Runtime.ExitError"))

    def test_four_calls_at_once(self):
        engine = self.ready(per_worker=4)
        sent = time.monotonic()
        for slot in range(8):
            engine.send(call({"do": "tick", "n": slot, "ms": 300}, slot))
        replies, logs = [], []
        while len(replies) < 8:
            got = engine.receive()
            (replies if got.kind == REPLY else logs).append(got)
        took = time.monotonic() - sent
        self.assertTrue(0.55 < took < 2.0, took)
        self.assertEqual(sorted(one.slot for one in replies), list(range(8)))
        for log in logs:
            self.assertEqual(int(log.payload.split()[1]), log.slot)

    def test_one_call_at_a_time_by_default(self):
        engine = self.ready()
        for slot in range(3):
            engine.send(call({"do": "tick", "n": slot, "ms": 30}, slot))
        for slot in range(3):
            outcome = engine.outcome(slot)
            self.assertEqual(outcome.text, "start %d\nend %d\n" % (slot, slot))

    def test_levels(self):
        outcome = self.ready().run({"do": "levels"})
        self.assertEqual([(log.aux, log.payload) for log in outcome.logs],
                         [(1, b"1\n"), (2, b"2\n"), (2, b"2\n"), (3, b"3\n"), (4, b"4\n"), (0, b"0\n")])

    def test_recall_gets_through_between_handlers_that_never_wait(self):
        engine = self.ready()
        engine.send(b"".join(call({"do": "spin"}, slot) for slot in range(3)))
        time.sleep(0.1)
        engine.send(frame(RECALL, slot=2, generation=1) + frame(PING, aux=4))
        kinds = [(got.kind, got.slot) for got in (engine.receive() for _ in range(4))]
        self.assertEqual(sorted(kinds), sorted([(REPLY, 0), (HANDBACK, 2), (PONG, 0), (REPLY, 1)]))

    def test_a_slow_handlers_reply_does_not_wait_behind_the_next(self):
        engine = self.ready()
        engine.send(b"".join(call({"do": "spin"}, slot) for slot in range(2)))
        first, second = engine.receive(), engine.receive()
        self.assertGreater(second.at - first.at, 0.3)

    def test_what_is_written_directly_goes_to_the_pipe(self):
        engine = self.ready()
        self.assertEqual(engine.run({"do": "direct"}).logs, [])
        until = time.monotonic() + 5
        while not engine.direct[1] and time.monotonic() < until:
            time.sleep(0.01)
        self.assertEqual(engine.direct[1], b"direct\n")


if __name__ == "__main__":
    unittest.main()
