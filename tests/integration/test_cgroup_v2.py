"""The cgroup tests of the sandbox on a kernel that has version 2 alone, whatever this machine has: in user-mode Linux."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BOOT_SECONDS = 240
MEMORY = "1500M"
CASES_MIN = 10  # so that a renamed mark is no silent pass
SCALE = 0.003  # of the soak: the machine inside is some ten times slower

# The file system is this machine's own, read-only.
INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=1777 tmpfs /var/tmp
echo 65536 >/proc/sys/user/max_user_namespaces
echo "CONTROLLERS=$(cat /sys/fs/cgroup/cgroup.controllers)"
HEARTH_TEST_SCALE={scale} {tests} "[cgroup]"
echo "EXIT=$?"
echo o >/proc/sysrq-trigger
sleep 60
"""


def find_tests():
    """The newest sandbox_tests that was built."""
    found = sorted(ROOT.glob("build/*/sandbox/sandbox_tests"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


class CgroupV2(unittest.TestCase):
    def test_the_sandbox_under_version_2_alone(self):
        kernel = shutil.which("linux.uml")
        if kernel is None:
            self.skipTest("linux.uml is not installed: apt-get install user-mode-linux")
        tests = find_tests()
        if tests is None:
            self.skipTest("sandbox_tests is not built: cmake --build --preset dev --target sandbox_tests")
        with tempfile.TemporaryDirectory(prefix="hearth-uml-") as folder:
            init = pathlib.Path(folder) / "init"
            init.write_text(INIT.format(scale=SCALE, tests=tests))
            init.chmod(0o755)
            done = subprocess.run(
                [kernel, f"mem={MEMORY}", "root=/dev/root", "rootfstype=hostfs", "ro", f"init={init}", "con=null", "con0=null,fd:1", f"uml_dir={folder}"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=BOOT_SECONDS, check=False,
                env={**os.environ, "TMPDIR": folder})
        text = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout.decode(errors="replace"))
        if "EXIT=" not in text:
            self.skipTest("user-mode Linux does not boot here: " + text[-300:])
        self.assertRegex(text, r"CONTROLLERS=.*memory.*pids")
        self.assertIn("EXIT=0", text, text[-6000:])
        self.assertNotIn("skipped:", text, text[-6000:])
        cases = re.search(r"All tests passed \(\d+ assertions in (\d+) test cases\)", text)
        self.assertIsNotNone(cases, text[-6000:])
        self.assertGreaterEqual(int(cases[1]), CASES_MIN)


if __name__ == "__main__":
    unittest.main()
