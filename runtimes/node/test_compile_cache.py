"""The shim's compile cache: what it makes, what it takes, and what it refuses."""
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "testing"))
from fake_engine import CACHE, CACHE_MADE, HELLO, INIT_ERROR, MORE, READY, FakeEngine, frame, golden  # noqa: E402

NODE = os.environ.get("HEARTH_TEST_NODE", "/usr/bin/node")
CEILING = 4 << 20
PART = 65536
USED, REJECTED = 1, 2
ENTRY = 8  # where the first entry begins: name's bytes, source's characters and sum, data's bytes and sum


def source(size, word="one"):
    lines, length = [], 0
    while length < size:
        lines.append("exports.f%d = function (a) { return a + %d + '%s'; };" % (len(lines), len(lines), word))
        length += len(lines[-1]) + 1
    return "\n".join(lines) + "\nexports.handler = async () => exports.f1(1) + ' ' + exports.f2(2);\n"


def supported():
    done = subprocess.run([NODE, "-p", "typeof require('zlib').crc32"], stdout=subprocess.PIPE, check=True)
    return done.stdout.strip() == b"function"


@unittest.skipUnless(supported(), "needs Node 20.15")
class CompileCache(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="hearth-node-")
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.write("index.js", source(3 * PART))

    def write(self, name, text):
        (self.root / name).write_text(text)

    def load(self, given=None, ceiling=None, cut=False, handler="index.handler", **more):
        """(parts that the worker made, READY's aux, what the handler gives, READY's kind)."""
        with FakeEngine([NODE, str(HERE / "bootstrap.cjs")]) as engine:
            engine.expect(HELLO)
            if given is not None:
                parts = [given[at:at + PART] for at in range(0, len(given), PART)]
                for i, part in enumerate(parts):
                    engine.send(frame(CACHE, part, MORE if cut or i + 1 < len(parts) else 0))
            if ceiling is not None:
                more["compile_cache"] = ceiling
            engine.init(self.root, handler, wait=False, **more)
            made = []
            while True:
                got = engine.expect_any(CACHE_MADE, READY, INIT_ERROR)
                if got.kind != CACHE_MADE:
                    break
                made.append(got)
            value = engine.run({}).value if got.kind == READY else json.loads(got.payload.decode())
            self.assertEqual(engine.direct, {1: b"", 2: b""})
            return made, got.aux, value

    def make(self, **more):
        made, aux, value = self.load(ceiling=CEILING, **more)
        self.assertEqual(aux, 0)
        self.assertTrue(made)
        return b"".join(part.payload for part in made)

    def test_it_is_made_in_full_parts_when_asked_and_used_when_given(self):
        made, aux, value = self.load(ceiling=CEILING)
        self.assertEqual((aux, value), (0, "2one 4one"))
        self.assertEqual([len(part.payload) for part in made[:-1]], [PART] * (len(made) - 1))
        self.assertEqual([part.flags for part in made], [MORE] * (len(made) - 1) + [0])
        self.assertEqual(self.load(b"".join(part.payload for part in made)), ([], USED, value))

    def test_nothing_is_made_unasked_or_of_small_sources(self):
        self.assertEqual(self.load()[:2], ([], 0))
        self.write("index.js", source(1000))
        self.assertEqual(self.load(ceiling=CEILING)[:2], ([], 0))

    def test_modules_that_the_handler_requires_have_their_own_entries(self):
        self.write("a.js", source(PART, "two"))
        self.write("index.js", "const a = require('./a.js'), b = require('./b.js');\nexports.handler = async () => [a.f1(1), b.f1(1)];\n")
        self.write("b.js", source(PART, "three"))
        cache = self.make()
        self.assertEqual(struct.unpack_from("<I", cache, 4), (2,))
        self.assertEqual(self.load(cache), ([], USED, ["2two", "2three"]))

    def test_a_text_of_the_same_length_is_never_taken_for_the_one_that_was_compiled(self):
        cache = self.make()
        self.write("index.js", source(3 * PART, "two"))
        self.assertEqual(self.load(cache), ([], 0, "2two 4two"))

    def test_bytes_that_were_changed_are_refused_wherever_they_are(self):
        cache = self.make()
        name = struct.unpack_from("<I", cache, ENTRY)[0]
        data = ENTRY + 24 + -(-name // 8) * 8
        refused = {0: REJECTED, 4: REJECTED, ENTRY: REJECTED, ENTRY + 12: REJECTED, ENTRY + 16: REJECTED, data: REJECTED, data + 5: REJECTED,
                   data + 4000: REJECTED, data + 40000: REJECTED, ENTRY + 4: 0, ENTRY + 8: 0}  # the last two: of another source
        for at, verdict in refused.items():
            changed = bytearray(cache)
            changed[at] ^= 0x55
            with self.subTest(at=at):
                self.assertEqual(self.load(bytes(changed)), ([], verdict, "2one 4one"))

    def test_what_v8_refuses_is_compiled_anew(self):
        cache = bytearray(self.make())
        name = struct.unpack_from("<I", cache, ENTRY)[0]
        size = struct.unpack_from("<I", cache, ENTRY + 12)[0]
        data = ENTRY + 24 + -(-name // 8) * 8
        cache[data + 5] ^= 0x55  # V8's own head, with the sum made good
        struct.pack_into("<I", cache, ENTRY + 16, zlib.crc32(bytes(cache[data:data + size])))
        self.assertEqual(self.load(bytes(cache)), ([], REJECTED, "2one 4one"))

    def test_a_cache_that_is_cut_or_nonsense_is_refused(self):
        cache = self.make()
        for size in (1, 7, 8, 40, PART, len(cache) - 8):
            with self.subTest(size=size):
                self.assertEqual(self.load(cache[:size]), ([], REJECTED, "2one 4one"))
        self.assertEqual(self.load(cache, cut=True)[1:], (REJECTED, "2one 4one"))
        self.assertEqual(self.load(cache + bytes(8))[1:], (REJECTED, "2one 4one"))
        self.assertEqual(self.load(b"nonsense" * 100)[1:], (REJECTED, "2one 4one"))
        self.assertEqual(self.load((golden("cache_given_more") + golden("cache_given_last"))[:PART])[1], REJECTED)

    def test_it_stays_below_the_ceiling(self):
        whole = len(self.make())
        made, _, _ = self.load(ceiling=whole)
        self.assertEqual(sum(len(part.payload) for part in made), whole)
        self.assertEqual(self.load(ceiling=2000)[0], [])
        self.write("a.js", source(PART))
        self.write("index.js", source(3 * PART) + "require('./a.js');\n")
        made, _, _ = self.load(ceiling=whole + 4000)  # the first one fits, the second one doesn't
        self.assertLessEqual(sum(len(part.payload) for part in made), whole + 4000)
        self.assertTrue(made)

    def test_an_init_that_fails_sends_none(self):
        self.write("index.js", source(PART) + "throw new TypeError('no');\n")
        made, _, report = self.load(ceiling=CEILING)
        self.assertEqual((made, report["errorType"], report["errorMessage"]), ([], "TypeError", "no"))
        self.assertTrue(any("index.js:" in line for line in report["stackTrace"]))

    def test_a_function_that_changes_the_loader_gets_what_it_asked_for(self):
        wrapper = "const M = require('module');\nM.wrapper[0] += 'exports.wrapped = true; ';\n"
        self.write("a.js", source(PART))
        self.write("index.js", wrapper + "exports.handler = async () => require('./a.js').wrapped;\nrequire('./a.js');\n")
        made, _, value = self.load(ceiling=CEILING)
        self.assertEqual((made, value), ([], True))
        hook = "const M = require('module');\nconst js = M._extensions['.js'];\nM._extensions['.js'] = function (m, f) {\n" \
               "  const compile = m._compile;\n  m._compile = function (text, file) { m._compile = compile; m._compile(text.replace(/one/g, process.env.WORD), file); };\n" \
               "  js(m, f);\n};\n"
        self.write("index.js", hook + "const a = require('./a.js');\nexports.handler = async () => a.f1(1);\n")
        cache = self.make(environment={"WORD": "six"})
        self.assertEqual(self.load(cache, environment={"WORD": "six"})[1:], (USED, "2six"))
        self.assertEqual(self.load(cache, environment={"WORD": "ten"})[1:], (0, "2ten"))


if __name__ == "__main__":
    unittest.main()
