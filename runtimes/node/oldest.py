"""All of test_worker.py once more, by the oldest Node that functions may have."""
import importlib.util
import os
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests/tools"))
import old_node  # noqa: E402


def skipped(reason):
    class Oldest(unittest.TestCase):
        @unittest.skip(reason)
        def test_worker(self):
            pass
    return unittest.TestSuite([Oldest("test_worker")])


def load_tests(loader, _tests, _pattern):
    try:
        node = old_node.path()
    except old_node.Unavailable as reason:
        return skipped(str(reason))
    before = os.environ.get("HEARTH_TEST_NODE")
    os.environ["HEARTH_TEST_NODE"] = str(node)
    try:
        spec = importlib.util.spec_from_file_location("test_worker_with_oldest_node", HERE / "test_worker.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    finally:
        del os.environ["HEARTH_TEST_NODE"]
        if before is not None:
            os.environ["HEARTH_TEST_NODE"] = before
    return loader.loadTestsFromModule(module)


if __name__ == "__main__":
    unittest.main()
