"""The Python worker against the conformance cases, and what is particular to Python."""
import ast
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "testing"))
from conformance import ScriptConformance  # noqa: E402
from fake_engine import CHUNK, CREDIT, ERROR, HANDBACK, LAST, LOG, MORE, PING, PONG, RECALL, REPLY, STOP, STREAM, call, frame  # noqa: E402

PYTHON = os.environ.get("HEARTH_TEST_PYTHON", "/usr/bin/python3")
VERSION = tuple(int(part) for part in subprocess.run([PYTHON, "-c", "print('%d.%d.%d' % __import__('sys').version_info[:3])"], stdout=subprocess.PIPE,
                                                     check=True, encoding="ascii").stdout.split("."))
ROOT = HERE / "testdata"


class Worker(ScriptConformance, unittest.TestCase):
    command = [PYTHON, "-I", str(HERE / "bootstrap.py")]
    root = ROOT
    handler = "app.handler"
    runtime = "python3"

    def test_a_socket_of_packets_is_the_spawners(self):
        """Fd 3 says which of the two a process is to be; without the spawner's module there is no zygote, and no worker either."""
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with here, there:
            ended = subprocess.run(["/bin/sh", "-c", 'exec "$@" 3<&%d' % there.fileno(), "sh", *self.command], pass_fds=[there.fileno()],
                                   stderr=subprocess.PIPE, timeout=60)
            there.close()
            self.assertEqual(here.recv(100), b"")  # no HELLO
        self.assertEqual(ended.returncode, 70)
        self.assertIn(b"_hearth_fork", ended.stderr)

    def test_handlers_in_packages(self):
        for name in ("pkg/mod.handler", "pkg.mod.handler"):
            engine = self.worker()
            engine.init(ROOT, name)
            self.assertEqual(engine.run({}).value, 42)

    def test_a_syntax_error_names_file_and_line(self):
        error = self.init_error(ROOT / "broken", "syntax.handler")
        self.assertEqual(error["errorType"], "Runtime.UserCodeSyntaxError")
        self.assertIn("syntax.py, line 4", error["errorMessage"])
        self.assertIn('syntax.py", line 4', error["stackTrace"][0])

    def test_an_import_error_names_the_module_and_the_line(self):
        error = self.init_error(ROOT / "broken", "imports.handler")
        self.assertEqual(error["errorType"], "Runtime.ImportModuleError")
        self.assertIn("No module named 'nowhere_to_be_found'", error["errorMessage"])
        self.assertIn('imports.py", line 1', error["stackTrace"][0])

    def test_an_exception_at_import(self):
        error = self.init_error(ROOT / "broken", "raises.handler")
        self.assertEqual((error["errorType"], error["errorMessage"]), ("RuntimeError", "at import"))
        self.assertEqual(len(error["stackTrace"]), 1)

    def test_exit_at_import(self):
        self.assertEqual(self.init_error(ROOT / "broken", "exits.handler")["errorType"], "Runtime.ExitError")

    def test_a_handler_that_is_no_function(self):
        self.assertEqual(self.init_error(ROOT / "broken", "number.handler")["errorType"], "Runtime.HandlerNotFound")

    def test_an_exception_has_lambdas_shape(self):
        outcome = self.ready().run({"do": "error"})
        self.assertEqual(list(outcome.value), ["errorMessage", "errorType", "requestId", "stackTrace"])
        self.assertIn('app.py", line', outcome.value["stackTrace"][0])
        self.assertIn("in do_error", outcome.value["stackTrace"][-1])
        self.assertIn("[ERROR] ValueError: no", outcome.text)

    def test_memory_error_ends_the_worker_after_its_reply(self):
        engine = self.ready()
        outcome = engine.run({"do": "memory"})
        self.assertEqual(outcome.flags, [ERROR | LAST])
        self.assertEqual(outcome.value["errorType"], "Runtime.OutOfMemory")
        self.assertIn("128 MB", outcome.value["errorMessage"])
        self.assertEqual(engine.exit_status(), 1)

    def test_a_last_reply_of_several_frames(self):
        engine = self.ready()
        engine.send(call({"do": "exit_at_length"}, 1) + call({"name": "world"}, 2))
        self.assertEqual(engine.expect(HANDBACK).slot, 2)
        outcome = engine.outcome(1)
        self.assertEqual((outcome.flags[0], outcome.flags[-1]), (MORE | ERROR, LAST))
        self.assertEqual(outcome.value["errorType"], "Runtime.ExitError")
        engine.send(frame(STOP))
        self.assertEqual(engine.exit_status(), 1)

    def test_exit_functions_run_after_the_last_reply(self):
        engine = self.ready()
        engine.send(call({"do": "atexit"}, 1))
        self.assertEqual(self.last_reply(engine, ())["errorType"], "Runtime.ExitError")
        engine.send(frame(STOP))
        self.assertEqual([one.payload for one in engine.until_gone()], [b"bye\n"])
        self.assertEqual(engine.exit_status(), 0)

    def test_a_crash_ends_the_stream(self):
        engine = self.ready()
        engine.send(call({"do": "crash"}))
        self.assertEqual(engine.until_gone(), [])
        self.assertEqual(engine.exit_status(), 9)

    def test_errors_that_leave_the_worker_alive(self):
        engine = self.ready()
        expected = {"deep": "RecursionError", "interrupt": "KeyboardInterrupt", "circle": "Runtime.MarshalError", "bytes": "Runtime.MarshalError"}
        for number, (do, kind) in enumerate(expected.items()):
            outcome = engine.run({"do": do}, number)
            self.assertEqual((do, outcome.value["errorType"]), (do, kind))
        self.assertEqual(engine.run({"name": "world"}).value, {"message": "Hello world"})

    def test_values_beyond_json(self):
        engine = self.ready()
        self.assertEqual(engine.run({"do": "surrogate"}).data, b'"\\ud800"')
        self.assertEqual(engine.run({"do": "nan"}).data, b"[NaN,Infinity]")
        self.assertEqual(engine.run({"do": "decimal"}).data, b"[3,3.5]")
        self.assertEqual(engine.run({"name": "gr\u00fc\u00df"}).data, '{"message":"Hello gr\u00fc\u00df"}'.encode())

    def streamed(self, event, **more):
        engine = self.worker()
        engine.init(self.root, "app.stream", **more)
        return engine, engine.run(event)

    def test_a_generator_streams_part_by_part(self):
        engine = self.worker()
        engine.init(self.root, "app.stream")
        engine.send(call({"do": "parts"}))
        first = engine.expect(REPLY)
        self.assertEqual((first.flags, first.aux, first.payload), (STREAM | MORE, 0, bytes(4) + b"one "))
        second, third = engine.expect(CHUNK), engine.expect(CHUNK)
        self.assertEqual((second.payload, third.payload.decode()), (b"two ", "gr\u00fc\u00dfe"))
        self.assertGreater(third.at - first.at, 0.03)
        log = engine.receive()
        self.assertEqual((log.kind, log.payload, log.slot), (LOG, b"written\n", 1))
        end = engine.expect(CHUNK)
        self.assertEqual((end.flags, end.payload), (0, b""))
        self.assertEqual(engine.run({"do": "head"}, 2, 2).data[-4:], b"body")

    def test_a_dict_in_front_is_the_head_of_the_response(self):
        engine = self.worker()
        engine.init(self.root, "app.stream")
        engine.send(call({"do": "head"}))
        first = engine.expect(REPLY)
        self.assertEqual((first.flags, first.aux), (STREAM | MORE, 1))
        self.assertEqual(json.loads(first.payload[4:].decode()), {"statusCode": 201, "headers": {"x-one": "1"}, "cookies": ["a=b"]})
        self.assertEqual(engine.expect(CHUNK).payload, b"body")

    def test_streams_wait_for_credit_and_come_whole(self):
        for size in (0, 1, 65532, 65533, 300000, 5000000):
            outcome = self.streamed({"do": "size", "size": size})[1]
            self.assertEqual((len(outcome.data), outcome.is_error), (size, False))
            self.assertLessEqual(max(outcome.sizes), 65536)
        engine = self.worker()
        engine.init(self.root, "app.stream")
        engine.send(call({"do": "size", "size": 1000000}))
        got = len(engine.expect(REPLY).payload) - 4
        while got < 262144:
            got += len(engine.expect(CHUNK).payload)
        self.assertEqual(got, 262144)
        self.assertTrue(engine.silent_for(0.2))
        engine.send(frame(CREDIT, struct.pack("<I", 1000), 0, 0, 1, 1))
        self.assertEqual(len(engine.expect(CHUNK).payload), 1000)

    def test_a_stream_that_fails(self):
        engine, outcome = self.streamed({"do": "early"})
        self.assertEqual((outcome.is_error, outcome.value["errorType"]), (True, "TypeError"))
        for what, kind in (("midway", "IndexError"), ("wrong", "Runtime.MarshalError"), ("dict_late", "Runtime.MarshalError")):
            engine.send(call({"do": what}, 3))
            self.assertEqual(engine.expect(REPLY).payload, bytes(4) + b"half")
            broken = engine.expect(CHUNK)
            self.assertEqual((broken.flags, json.loads(broken.payload.decode())["errorType"]), (ERROR, kind))
            self.assertEqual(engine.run({"do": "head"}, 4, 4).data[-4:], b"body")

    def test_a_worker_that_exits_in_a_stream_breaks_it_off(self):
        engine = self.worker()
        engine.init(self.root, "app.stream")
        engine.send(call({"do": "exits"}))
        self.assertEqual(engine.expect(REPLY).payload, bytes(4) + b"half")
        broken = engine.expect(CHUNK)
        self.assertEqual((broken.flags, json.loads(broken.payload.decode())["errorType"]), (ERROR | LAST, "Runtime.ExitError"))
        engine.send(frame(STOP))
        self.assertEqual(engine.exit_status(), 3)

    def coroutine(self, per_worker=1, handler="app.coroutine"):
        engine = self.worker()
        engine.init(self.root, handler, per_worker=per_worker)
        return engine

    def test_a_coroutine_is_awaited(self):
        engine = self.coroutine()
        self.assertEqual(engine.run({"do": "hello", "name": "you"}).value["message"], "Hello you")
        outcome = engine.run({"do": "error"}, 2, 2)
        self.assertEqual((outcome.is_error, outcome.value["errorType"], outcome.value["errorMessage"]), (True, "ValueError", "async"))
        self.assertEqual(engine.run({"do": "bytes"}, 3, 3).value["errorType"], "Runtime.MarshalError")
        self.assertEqual(engine.run(b"{", 4, 4).value["errorType"], "Runtime.UnmarshalError")
        engine.send(frame(STOP))
        self.assertEqual(engine.exit_status(), 0)
        self.assertEqual(self.coroutine(handler="app.returns_awaitable").run({"name": "me"}).value["message"], "Hello me")

    def test_coroutines_run_up_to_per_worker_at_once_and_logs_know_whose_they_are(self):
        engine = self.coroutine(per_worker=4)
        sent = time.monotonic()
        for slot in range(1, 9):
            engine.send(call({"do": "tick", "n": slot, "ms": 300}, slot, slot))
        replies, texts = {}, {}
        while len(replies) < 8:
            got = engine.receive()
            if got.kind == REPLY:
                replies[got.slot] = json.loads(got.payload[4:].decode())
            else:
                texts.setdefault(got.slot, []).append(got.payload.decode())
        took = time.monotonic() - sent
        self.assertTrue(0.55 < took < 2.0, took)
        self.assertEqual(sorted(replies), list(range(1, 9)))
        self.assertEqual(max(most for _, most in replies.values()), 4)
        for slot in range(1, 9):
            lines = "".join(texts[slot])
            self.assertIn("start %d\n" % slot, lines)
            self.assertIn("log %d\n" % slot, lines)
            if VERSION >= (3, 7):  # before, only the handler's own task knows
                self.assertIn("child %d\n" % slot, lines)

    def test_one_coroutine_at_a_time_by_default(self):
        engine = self.coroutine()
        for slot in (1, 2, 3):
            engine.send(call({"do": "tick", "n": slot, "ms": 30}, slot, slot))
        for slot in (1, 2, 3):
            self.assertEqual(engine.outcome(slot, slot).value, [slot, 1])

    def test_control_is_read_while_coroutines_wait(self):
        engine = self.coroutine()
        engine.send(call({"do": "tick", "n": 1, "ms": 500}, 1, 1) + call({"do": "hello"}, 2, 2))
        time.sleep(0.1)
        engine.send(frame(RECALL, b"", 0, 0, 2, 2) + frame(PING, b"", 0, 7))
        kinds = [engine.expect_any(HANDBACK, PONG).kind, engine.expect_any(HANDBACK, PONG).kind]
        self.assertEqual(sorted(kinds), sorted((HANDBACK, PONG)))
        self.assertEqual(engine.outcome(1, 1).value[0], 1)

    def test_large_replies_of_coroutines_wait_for_credit(self):
        engine = self.coroutine(per_worker=2)
        for size in (65529, 65530, 65531, 300000, 6000000):
            outcome = engine.run({"do": "large", "size": size})
            self.assertEqual((len(outcome.data), outcome.is_error), (size + 2, False))
        self.assertEqual(engine.run({"do": "large", "size": 7000000}).value["errorType"], "Function.ResponseSizeTooLarge")

    def test_an_asynchronous_generator_streams(self):
        engine = self.coroutine(2, "app.aparts")
        self.assertEqual(engine.run({"do": "x", "size": 3000000}).data, b"x" * 3000000 + b"body")
        engine.send(call({"do": "head"}, 2, 2))
        first = engine.expect(REPLY)
        self.assertEqual((first.flags, first.aux, first.payload[4:]), (STREAM | MORE, 1, b'{"statusCode":201}'))
        self.assertEqual(engine.expect(CHUNK).payload, b"body")
        self.assertEqual(engine.expect(CHUNK).flags, 0)
        engine.send(call({"do": "fail"}, 3, 3))
        self.assertEqual(engine.expect(REPLY).payload[4:], b"body")
        broken = engine.expect(CHUNK)
        self.assertEqual((broken.flags, json.loads(broken.payload.decode())["errorType"]), (ERROR, "IndexError"))

    def test_exit_in_a_coroutine_answers_every_running_call(self):
        engine = self.coroutine(per_worker=3)
        engine.send(call({"do": "tick", "n": 1, "ms": 5000}, 1, 1) + call({"do": "exit"}, 2, 2) + call({"do": "tick", "n": 3, "ms": 5000}, 3, 3))
        engine.send(call({"do": "hello"}, 4, 4))
        answers = {}
        while len(answers) < 3:
            got = engine.expect_any(REPLY, HANDBACK)
            if got.kind == REPLY:
                answers[got.slot] = (got.flags, json.loads(got.payload[4:].decode())["errorType"])
        self.assertEqual(answers, {1: (ERROR, "Runtime.ExitError"), 3: (ERROR, "Runtime.ExitError"), 2: (ERROR | LAST, "Runtime.ExitError")})
        engine.send(frame(STOP))
        self.assertEqual(engine.exit_status(), 3)

    def test_recall_races_with_claiming(self):
        """Each call is answered or handed back, never both, whoever is faster."""
        engine = self.ready()
        for generation in range(150):
            slots = range(32)
            engine.send(b"".join(call({"name": "world"}, slot, generation) for slot in slots))
            engine.send(b"".join(frame(RECALL, slot=slot, generation=generation) for slot in slots))
            ended = [engine.receive() for _ in slots]
            self.assertEqual(sorted(one.slot for one in ended), list(slots))
            self.assertTrue({one.kind for one in ended} <= {REPLY, HANDBACK})

    def test_end_of_file_ends_a_worker_that_is_stuck(self):
        engine = self.ready()
        engine.send(call({"do": "hang"}))
        time.sleep(0.05)
        engine.sock.close()
        engine.exit_status(5.0)

    def test_a_log_reaches_the_engine_while_the_handler_goes_on(self):
        engine = self.ready()
        outcome = engine.run({"do": "thread"})
        self.assertEqual(outcome.text, "from a thread\n")

    def test_a_forked_child_writes_to_the_pipes(self):
        engine = self.ready()
        outcome = engine.run({"do": "fork"})
        self.assertEqual(outcome.value, "parent")
        self.assertEqual(outcome.logs, [])
        until = time.monotonic() + 5
        while b"logger" not in engine.direct[1] + engine.direct[2] and time.monotonic() < until:
            time.sleep(0.01)
        self.assertIn(b"from the child\n", engine.direct[1] + engine.direct[2])

    def test_what_is_written_directly_goes_to_the_pipe(self):
        engine = self.ready()
        outcome = engine.run({"do": "direct"})
        self.assertEqual(outcome.text, "binary \ufffd\n")
        until = time.monotonic() + 5
        while not engine.direct[1] and time.monotonic() < until:
            time.sleep(0.01)
        self.assertEqual(engine.direct[1], b"direct\n")

    def test_root_is_first_on_the_path(self):
        value = self.ready().run({"do": "context"}).value
        self.assertEqual((value["path"], value["cwd"], value["memory"]), (str(ROOT), str(ROOT), "128"))


class Source(unittest.TestCase):
    def test_syntax_is_no_newer_than_python_3_6(self):
        for path in sorted(HERE.glob("*.py")):
            with self.subTest(path.name):
                text = path.read_text()
                ast.parse(text, feature_version=(3, 6))
                self.assertLessEqual(text.count("\n"), 600)


if __name__ == "__main__":
    unittest.main()
