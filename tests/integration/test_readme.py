"""What the README shows is run as it stands: files that it names are written, its shell blocks are given to bash.

The walk-through uses the default port and the default state folder. So it runs in name spaces of its own, where both are free.
"""
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from embedding import EmbeddingTest
from harness import HEARTH, IS_ROOT, PATIENCE, ROOT

README = (ROOT / "README.md").read_text()
# A network with only a loopback that is up, an empty /var/lib, and nothing alive when it ends.
ALONE = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c",
         "mount -t tmpfs -o mode=755 tmpfs /var/lib && /usr/bin/python3 -c \"$UP\" && exec bash -e \"$0\""]
LOOPBACK_UP = """
import fcntl, socket, struct
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
"""


def section(title):
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, f"the README has no section {title}"
    return found.group(1)


def unpack(text, folder):
    """Writes the files whose names stand in backticks in the line before their block; returns the shell blocks."""
    scripts = []
    for before, language, block in re.findall(r"([^\n]*)\n+```(\w+)\n(.*?)```", text, re.DOTALL):
        name = re.findall(r"`([\w/.-]+\.\w+)`", before)
        if language == "sh":
            scripts.append(block)
        elif name and language in ("python", "js", "cpp"):
            path = folder / name[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block)
    return scripts


class Walk(unittest.TestCase):
    def setUp(self):
        if not IS_ROOT or not shutil.which("unshare"):
            self.skipTest("the default port and state folder are only free in name spaces of their own, which take root here")
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="hearth-readme-"))
        self.addCleanup(shutil.rmtree, self.work, ignore_errors=True)
        self.work.chmod(0o755)
        (self.work / "build/release").mkdir(parents=True)
        (self.work / "build/release/hearth").symlink_to(HEARTH)
        self.path = re.search(r'`(export PATH="\$PWD/build/release:\$PATH")`', section("Two commands")).group(1)


class FirstFunction(Walk):
    def setUp(self):
        super().setUp()
        scripts = unpack(section("A first function"), self.work)
        self.assertEqual(len(scripts), 2, "a block for each language")
        (self.work / "script").write_text("\n".join([self.path, *scripts]))

    def test_the_walk_through(self):
        with subprocess.Popen([*ALONE, self.work / "script"], cwd=self.work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env={**os.environ, "UP": LOOPBACK_UP, "HEARTH_SERVER": ""}, start_new_session=True) as process:
            try:
                said = self.read_until(process, ['{"message":"Hello world"}', "HELLO!"])
            finally:
                os.killpg(process.pid, signal.SIGKILL)
        self.assertNotIn("not found", said)

    def read_until(self, process, words):
        """The last command follows a log and does not end by itself; so the output is read until all of it has come."""
        said, deadline = "", time.monotonic() + 60 * PATIENCE
        while not all(word in said.replace(": ", ":") for word in words):
            ready, _, _ = select.select([process.stdout], [], [], max(0, deadline - time.monotonic()))
            part = os.read(process.stdout.fileno(), 65536) if ready else b""
            if not part:
                self.fail(f"{words} did not all come; what did:\n{said}")
            said += part.decode("utf-8", "replace")
        return said


class WhileYouWriteIt(Walk):
    def test_the_commands(self):
        [script] = unpack(section("While you write it"), self.work)
        *before, last = script.strip().splitlines()
        command = re.fullmatch(r"(hearth dev web --port 8080) +# .*", last).group(1)
        # What its reader does beside the last command: a call, a save, Ctrl-C.
        beside = f"""{command} & dev=$!
until curl -fs http://127.0.0.1:8080/; do sleep 0.1; done
echo 'def handler(event, context): return "saved"' > web/app.py
until [ "$(curl -fs http://127.0.0.1:8080/)" = saved ]; do sleep 0.1; done
kill -TERM $dev; wait $dev && echo THE END
"""
        (self.work / "script").write_text("\n".join([self.path, *before, beside]))
        done = subprocess.run([*ALONE, self.work / "script"], cwd=self.work, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              env={**os.environ, "UP": LOOPBACK_UP, "HEARTH_SERVER": ""}, timeout=60 * PATIENCE, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("Hello world"), 2, "invoke --local and curl: " + done.stdout)
        self.assertIn("THE END", done.stdout)


class Embedding(EmbeddingTest):
    TITLE = "Inside a C or C++ program"

    def test_the_example(self):
        unpack(section("A first function"), self.work)
        [script] = unpack(section(self.TITLE), self.work)
        said = self.installed.run(["bash", "-ec", script], cwd=self.work).stdout
        self.assertEqual(said.strip().replace(": ", ":"), '{"message":"Hello C++"}')

    def test_it_is_as_short_as_it_should_be(self):
        [block] = re.findall(r"```cpp\n(.*?)```", section(self.TITLE), re.DOTALL)
        self.assertLessEqual(len(block.splitlines()), 15)


if __name__ == "__main__":
    unittest.main()
