"""The Rust library against the conformance cases; skipped without cargo, or where crates.io can't be reached."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "testing"))
from port_cases import PortCases  # noqa: E402

BUILT = None
UNREACHABLE = ("failed to download", "spurious network error", "Could not resolve", "Couldn't resolve", "requires rustc", "Unable to update")


def setUpModule():
    global BUILT
    cargo = shutil.which("cargo") or os.path.expanduser("~/.cargo/bin/cargo")
    if not os.access(cargo, os.X_OK):
        raise unittest.SkipTest("cargo is not installed")
    folder = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(folder.cleanup)
    shutil.copytree(HERE, os.path.join(folder.name, "crate"), ignore=shutil.ignore_patterns("target", "Cargo.lock"))
    done = subprocess.run([cargo, "build", "--quiet", "--example", "conformance"], cwd=os.path.join(folder.name, "crate"), capture_output=True, text=True,
                          env={**os.environ, "CARGO_TARGET_DIR": os.path.join(folder.name, "target"), "RUSTFLAGS": "-D warnings"}, check=False)
    if done.returncode != 0 and any(words in done.stderr for words in UNREACHABLE):
        raise unittest.SkipTest(done.stderr.strip().splitlines()[-1])
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    BUILT = os.path.join(folder.name, "target/debug/examples/conformance")


class Rust(PortCases, unittest.TestCase):
    cancelled, late = "cancelled", "too late"

    @property
    def command(self):
        return [BUILT]


if __name__ == "__main__":
    unittest.main()
