"""The shim's syntax is that of the oldest Python that functions may have, and so is the zygote's and that of the templates."""
import ast
import pathlib
import unittest

HERE = pathlib.Path(__file__).resolve().parent
OLDEST = (3, 6)


class Syntax(unittest.TestCase):
    def test_every_file_that_runs_in_a_worker_parses_as_the_oldest_python(self):
        files = [path for path in HERE.glob("*.py") if not path.name.startswith("test_")]
        self.assertGreater(len(files), 6)
        for path in files:
            with self.subTest(path.name):
                ast.parse(path.read_text(encoding="utf-8"), str(path), feature_version=OLDEST)

    def test_newer_syntax_would_be_seen(self):
        for newer in ("if (n := 1): pass", "def f(a, /): pass", "async def f():\n    async with (a, b): pass\nmatch = 1\nmatch x:\n    case 1: pass"):
            with self.subTest(newer), self.assertRaises(SyntaxError):
                ast.parse(newer, feature_version=OLDEST)


if __name__ == "__main__":
    unittest.main()
