"""libhearth for tests: installs the build that is tested into a folder, and builds and runs programs with it."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from harness import HEARTH, PATIENCE, ROOT

BUILD = HEARTH.parent
MOVED_FROM = "/opt/hearth"  # the prefix that an installation was made for; it is used elsewhere


def problem():
    """Why programs can't be built with this build's library, or None."""
    cache = BUILD / "CMakeCache.txt"
    if not cache.exists() or not list(BUILD.rglob("libhearth.so")):
        return f"libhearth is not built in {BUILD}"
    if re.search(r"^HEARTH_SANITIZE:STRING=.+$", cache.read_text(), re.MULTILINE):
        return "a sanitized library needs a sanitized program"
    return None


def run(command, expect=0, env=None, cwd=None, stdin="", timeout=120):
    """Runs a program; AssertionError with its output when it does not exit with `expect`."""
    done = subprocess.run([str(word) for word in command], input=stdin, capture_output=True, text=True, cwd=cwd, timeout=timeout * PATIENCE,
                          env={**os.environ, **(env or {})}, check=False)
    if done.returncode != expect:
        raise AssertionError(f"{command}: exit {done.returncode}, not {expect}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done


class Installed:
    """An installation, as DESTDIR made it and moved afterwards, or as packages were unpacked."""

    def __init__(self, prefix):
        self.prefix = pathlib.Path(prefix)
        self.libraries = next(self.prefix.rglob("libhearth.so.1")).parent
        self.environment = {"PKG_CONFIG_PATH": str(self.libraries / "pkgconfig"), "LD_LIBRARY_PATH": str(self.libraries),
                            "CMAKE_PREFIX_PATH": str(self.prefix), "LIBHEARTH": str(self.libraries / "libhearth.so.1"),
                            "HEARTH": str(self.prefix / "bin/hearth"), "LC_ALL": "C.UTF-8"}

    def run(self, command, **kwargs):
        return run(command, env=self.environment, **kwargs)

    def cmake(self, source, build, *options):
        """Configures and builds a project that finds hearth by find_package()."""
        self.run(["cmake", "-S", source, "-B", build, "-DCMAKE_BUILD_TYPE=Debug", *options])
        self.run(["cmake", "--build", build, "-j", "2"], timeout=300)


class EmbeddingTest(unittest.TestCase):
    """Has `installed` and a folder for what the tests build."""

    installed = None
    work = None

    @classmethod
    def setUpClass(cls):
        if problem():
            raise unittest.SkipTest(problem())
        cls.work = pathlib.Path(tempfile.mkdtemp(prefix="hearth-embed-"))
        cls.addClassCleanup(shutil.rmtree, cls.work, ignore_errors=True)
        cls.work.chmod(0o755)  # a daemon that gives up root runs from here
        run(["cmake", "--install", BUILD, "--prefix", MOVED_FROM], env={"DESTDIR": str(cls.work / "root")})
        (cls.work / f"root{MOVED_FROM}").rename(cls.work / "prefix")
        cls.installed = Installed(cls.work / "prefix")

    def example(self, name):
        return ROOT / "examples" / name
