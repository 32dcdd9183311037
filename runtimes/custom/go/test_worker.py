"""The Go library against the conformance cases; skipped without Go 1.19."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "testing"))
from conformance import Conformance  # noqa: E402
from fake_engine import CANCEL, CHUNK, ERROR, INIT_ERROR, LOG, MORE, REPLY, STREAM, call, frame  # noqa: E402

BUILT = None


def go_program():
    """The path of a Go that is new enough, or why there is none."""
    path = shutil.which("go") or ("/usr/local/go/bin/go" if os.access("/usr/local/go/bin/go", os.X_OK) else None)
    if path is None:
        raise unittest.SkipTest("go is not installed")
    text = subprocess.run([path, "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"go(\d+)\.(\d+)", text)
    if not found or (int(found.group(1)), int(found.group(2))) < (1, 19):
        raise unittest.SkipTest(f"{path} is {text.strip() or 'of unknown version'}; 1.19 or later is needed")
    return path


def setUpModule():
    global BUILT
    go = go_program()
    folder = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(folder.cleanup)
    BUILT = os.path.join(folder.name, "conformance")
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    environment.setdefault("HOME", folder.name)
    subprocess.check_call([go, "vet", "./..."], cwd=HERE, env=environment)
    subprocess.check_call([go, "build", "-o", BUILT, "./testdata/conformance"], cwd=HERE, env=environment)


class Go(Conformance, unittest.TestCase):
    root = HERE / "testdata"
    handler = ""
    runtime = "native"

    @property
    def command(self):
        return [BUILT]

    def test_a_stream(self):
        engine = self.ready()
        outcome = engine.run({"do": "stream"})
        self.assertEqual((outcome.data, outcome.flags, outcome.micros), (b"one two", [MORE | STREAM, MORE, 0], 0))
        self.assertEqual(engine.run({"do": "stream"}, 2).data, b"one two")

    def test_streams_that_break(self):
        engine = self.ready()
        outcome = engine.run({"do": "broken"})
        self.assertEqual(outcome.flags, [MORE | STREAM, ERROR])
        self.assertIn(b'"errorType":"ValueError"', outcome.data)
        outcome = engine.run({"do": "broken at once"}, 2)
        self.assertTrue(outcome.is_error)
        self.assertIn(b'"errorMessage":"at once"', outcome.data)

    def test_bytes_are_sent_as_they_are(self):
        self.assertEqual(self.ready().run({"do": "bytes"}).data, b"as it is")

    def test_what_is_no_json_is_told(self):
        self.assertEqual(self.ready().run({"do": "unserialisable"}).value["errorType"], "Runtime.MarshalError")

    def test_a_panic_is_an_error_with_its_stack(self):
        engine = self.ready()
        outcome = engine.run({"do": "panic"})
        self.assertEqual((outcome.value["errorType"], outcome.value["errorMessage"]), ("Panic", "panic: out of cheese"))
        self.assertTrue(any("main.handle" in line for line in outcome.value["stackTrace"]))
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

    def test_nobody_waits_and_the_deadline_end_the_context(self):
        engine = self.ready()
        engine.send(call({"do": "wait"}, 1))
        engine.send(frame(CANCEL, slot=1, generation=1))
        self.assertEqual(engine.outcome(1).value, "context canceled")
        self.assertEqual(engine.run({"do": "wait"}, 2, timeout_s=0.1).value, "context deadline exceeded")

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

    def test_a_chunk_is_never_longer_than_a_part(self):
        engine = self.ready()
        outcome = engine.run({"do": "large"})
        self.assertLessEqual(max(outcome.sizes), 65536)
        self.assertEqual(CHUNK, 0x85)


if __name__ == "__main__":
    unittest.main()
