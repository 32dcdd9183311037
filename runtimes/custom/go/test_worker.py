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
from port_cases import PortCases  # noqa: E402

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


class Go(PortCases, unittest.TestCase):
    cancelled, late = "context canceled", "context deadline exceeded"

    @property
    def command(self):
        return [BUILT]

    def test_what_is_no_json_is_told(self):
        self.assertEqual(self.ready().run({"do": "unserialisable"}).value["errorType"], "Runtime.MarshalError")

    def test_a_panic_has_its_stack(self):
        self.assertTrue(any("main.handle" in line for line in self.ready().run({"do": "panic"}).value["stackTrace"]))


if __name__ == "__main__":
    unittest.main()
