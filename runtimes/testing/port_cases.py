"""What the ports of the C library do beside the cases of every worker: streams, panics, several calls at once, hooks of the init.
A port's class says `command`; its test function is the same in each language (custom/*/…/conformance)."""
import pathlib

from conformance import Conformance
from fake_engine import CANCEL, ERROR, INIT_ERROR, LOG, MORE, REPLY, STREAM, call, frame


class PortCases(Conformance):
    root = pathlib.Path(__file__).resolve().parent
    handler = ""
    runtime = "native"
    cancelled, late = None, None  # what the function says when nobody waits, and when its time is over

    def test_a_stream(self):
        engine = self.ready()
        outcome = engine.run({"do": "stream"})
        self.assertEqual((outcome.data, outcome.flags, outcome.micros), (b"one two", [MORE | STREAM, MORE, 0], 0))
        self.assertEqual(engine.run({"do": "stream"}, 2).data, b"one two")

    def test_streams_that_break(self):
        engine = self.ready()
        outcome = engine.run({"do": "broken"})
        self.assertEqual(outcome.flags, [MORE | STREAM, ERROR])
        self.assertIn(b"half-way", outcome.data)
        outcome = engine.run({"do": "broken at once"}, 2)
        self.assertTrue(outcome.is_error)
        self.assertTrue(outcome.value["errorMessage"])

    def test_bytes_are_sent_as_they_are(self):
        self.assertEqual(self.ready().run({"do": "bytes"}).data, b"as it is")

    def test_a_panic_is_an_error_and_the_worker_goes_on(self):
        engine = self.ready()
        outcome = engine.run({"do": "panic"})
        self.assertEqual((outcome.value["errorType"], outcome.value["errorMessage"]), ("Panic", "panic: out of cheese"))
        self.assertIn("[ERROR] Panic: panic: out of cheese", outcome.text)
        self.assertEqual(engine.run({"name": "world"}, 2).data, b'{"message":"Hello world"}')

    def test_several_calls_at_once(self):
        engine = self.ready(per_worker=3)
        engine.send(b"".join(call({"do": "sleep"}, slot) for slot in (1, 2, 3)) + call({"name": "world"}, 4))
        times = {}
        for _ in range(4):
            got = engine.expect(REPLY)
            times[got.slot] = got.at
        self.assertLess(max(times[slot] for slot in (1, 2, 3)) - min(times.values()), 0.5)
        self.assertGreaterEqual(times[4], min(times[slot] for slot in (1, 2, 3)))

    def test_a_call_hears_that_nobody_waits_and_that_its_time_is_over(self):
        engine = self.ready()
        engine.send(call({"do": "wait"}, 1) + frame(CANCEL, slot=1, generation=1))
        self.assertEqual(engine.outcome(1).value, self.cancelled)
        self.assertEqual(engine.run({"do": "wait"}, 2, timeout_s=0.1).value, self.late)

    def test_init_can_refuse(self):
        engine = self.worker()
        engine.init(self.root, "", wait=False, environment={"INIT_FAILS": "no luck"})
        self.assertIn(b'"errorMessage":"no luck"', engine.expect(INIT_ERROR).payload)
        self.assertEqual(engine.exit_status(), 1)

    def test_init_logs_belong_to_no_call(self):
        engine = self.worker()
        engine.init(self.root, "", wait=False, environment={"INIT_LOG": "1"})
        log = engine.receive()
        self.assertEqual((log.kind, log.slot, log.generation, log.aux, log.payload), (LOG, 0, 0, 2, b"loading\n"))

    def test_parts_are_never_longer_than_they_may_be(self):
        self.assertLessEqual(max(self.ready().run({"do": "large"}).sizes), 65536)
