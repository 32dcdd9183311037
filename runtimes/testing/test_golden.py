"""The fake engine's own frames against golden_frames/."""
import json
import os
import struct
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fake_engine as engine  # noqa: E402


class Golden(unittest.TestCase):
    def test_every_file_is_one_frame_as_the_index_says(self):
        index = json.loads((engine.GOLDEN / "index.json").read_text())
        files = sorted(path.stem for path in engine.GOLDEN.glob("*.bin"))
        self.assertEqual(files, sorted(index))
        for name, fields in index.items():
            data = engine.golden(name)
            length, kind, flags, aux, slot, generation = struct.unpack_from("<IBBHII", data)
            self.assertEqual(dict(type=kind, flags=flags, aux=aux, slot=slot, generation=generation, length=length), fields)
            self.assertEqual(len(data), 16 + length)

    def test_frames_built_here_are_the_golden_ones(self):
        deadline = 123456789012
        self.assertEqual(engine.call(b'{"name":"world"}', 7, 9, deadline_us=deadline), engine.golden("call"))
        self.assertEqual(engine.call(b"{}", 1, 2, extension=b'{"traceId":"Root=1"}', deadline_us=deadline), engine.golden("call_extension"))
        no = b'{"errorMessage":"no","errorType":"ValueError","stackTrace":["line"]}'
        self.assertEqual(engine.frame(engine.REPLY, struct.pack("<I", 42) + no, engine.LAST | engine.ERROR, 0, 7, 9), engine.golden("reply_last"))
        self.assertEqual(engine.frame(engine.PING, aux=513), engine.golden("ping"))
        self.assertEqual(engine.frame(engine.FORK, slot=5, generation=6), engine.golden("fork"))
        entries = "GREETING=grüß\0LD_LIBRARY_PATH=/var/task/lib\0EMPTY=\0".encode()
        self.assertEqual(engine.frame(engine.ENVIRONMENT, entries), engine.golden("environment"))
        self.assertEqual(engine.frame(engine.ZYGOTE, no, engine.ERROR), engine.golden("zygote_error"))
        self.assertEqual(engine.frame(engine.FORKED, slot=5, generation=6), engine.golden("forked"))
        self.assertEqual(engine.frame(engine.CACHE, b"end"), engine.golden("cache_given_last"))
        self.assertEqual(engine.frame(engine.CREDIT, struct.pack("<I", 65536), slot=7, generation=9), engine.golden("credit"))


if __name__ == "__main__":
    unittest.main()
