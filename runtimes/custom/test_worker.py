"""The C library against the conformance cases. The programs are built by CMake; HEARTH_TEST_NATIVE names the folder that holds them."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "testing"))
from conformance import Conformance  # noqa: E402
from fake_engine import CHUNK, ERROR, INIT_ERROR, LOG, MORE, REPLY, STREAM, call  # noqa: E402

BUILT = os.environ.get("HEARTH_TEST_NATIVE")
FLAGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2"]
BUILDS = {"c99": ["/usr/bin/cc", "-std=c99"], "cpp": ["/usr/bin/c++", "-x", "c++", "-std=c++20"],
          "nothread": ["/usr/bin/cc", "-std=c99", "-DHEARTH_WORKER_NO_THREAD"]}


def setUpModule():
    """Without CMake the programs are built here: their being free of warnings is a part of the test."""
    global BUILT
    if BUILT:
        return
    folder = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(folder.cleanup)
    BUILT = folder.name
    for name, compiler in BUILDS.items():
        subprocess.check_call(compiler + FLAGS + ["-o", os.path.join(BUILT, "conformance_" + name), str(HERE / "testdata/conformance.c")])


class NativeConformance(Conformance):
    program = "conformance_c99"
    root = HERE / "testdata"
    handler = ""
    runtime = "native"

    @property
    def command(self):
        return [os.path.join(BUILT, self.program)]

    def test_an_answer_that_was_forgotten_is_null(self):
        self.assertEqual(self.ready().run({"do": "nothing"}).data, b"null")

    def test_a_stream(self):
        engine = self.ready()
        outcome = engine.run({"do": "stream"})
        self.assertEqual(outcome.data, b"one two")
        self.assertEqual(outcome.flags, [MORE | STREAM, MORE, 0])
        self.assertEqual(outcome.micros, 0)
        self.assertEqual(engine.run({"do": "stream"}, 2).data, b"one two")

    def test_a_stream_that_breaks(self):
        engine = self.ready()
        engine.send(call({"do": "broken"}))
        outcome = engine.outcome()
        self.assertEqual(outcome.flags, [MORE | STREAM, ERROR])
        self.assertIn(b'"errorType":"Broken"', outcome.data)

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


class C99(NativeConformance, unittest.TestCase):
    pass


class Cpp(NativeConformance, unittest.TestCase):
    program = "conformance_cpp"


class WithoutThread(NativeConformance, unittest.TestCase):
    """Between calls only: what is sent while a handler runs is answered after it."""
    program = "conformance_nothread"
    answers_while_busy = answers_while_spinning = False
    test_a_worker_that_was_idle_for_long_still_answers_while_busy = None
    test_a_finished_reply_does_not_wait_behind_a_long_handler = None


if __name__ == "__main__":
    unittest.main()
