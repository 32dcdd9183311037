"""The examples of embedding: built as their READMEs say, with an installed library, and run."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import unittest

from embedding import EmbeddingTest
from harness import PATIENCE, wait_until


class Embedded(EmbeddingTest):
    def test_c(self):
        self.installed.run(["make", "-C", self.example("embed_c"), f"BUILD={self.work}/c"])
        said = self.installed.run([self.work / "c/embed_c", self.example("embed_c") / "greet"]).stdout.splitlines()
        self.assertEqual(len(said), 4, said)
        self.assertEqual(said[0].replace(" ", ""), 'reply:{"message":"HelloC"}')
        self.assertIn("the function failed: {", said[1])
        self.assertIn("KeyError", said[1])
        self.assertEqual(said[2], "at once: 4 of 4 succeeded")
        self.assertEqual(said[3], "refused: function_unknown, trying again won't help")

    def test_asio(self):
        if not os.path.exists("/usr/include/asio.hpp"):
            self.skipTest("asio is not installed: tests/install_packages test")
        self.installed.cmake(self.example("embed_asio"), self.work / "asio")
        said = self.installed.run([self.work / "asio/embed_asio", self.example("embed_asio") / "echo"]).stdout.splitlines()
        self.assertEqual(sorted(said), ['{"call":1}', '{"call":2}', '{"call":3}'])

    def test_pytest(self):
        if subprocess.run(["/usr/bin/python3", "-c", "import pytest"], capture_output=True, check=False).returncode != 0:
            self.skipTest("pytest is not installed: tests/install_packages test")
        folder = shutil.copytree(self.example("test_pytest"), self.work / "pytest")
        said = self.installed.run(["/usr/bin/python3", "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=folder).stdout
        self.assertRegex(said, r"\n3 passed in ")

    def test_node(self):
        said = self.installed.run(["/usr/bin/node", "--test", self.example("test_node")]).stdout
        self.assertRegex(said, r"\n# pass 3\n# fail 0\n")


class Service(EmbeddingTest):
    """examples/embed_cpp: a server of its own protocol, one line a request."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.installed.cmake(pathlib.Path(__file__).parents[2] / "examples/embed_cpp", cls.work / "cpp")

    def setUp(self):
        self.process = subprocess.Popen([self.work / "cpp/embed_cpp", "0", self.example("embed_cpp") / "functions"], stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **self.installed.environment})
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.end)
        self.port = int(re.fullmatch(r"ready on port (\d+)\n", self.process.stdout.readline()).group(1))

    def end(self):
        self.process.terminate()  # it closes its engine, whose state folder goes with it
        try:
            self.process.wait(20 * PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def ask(self, *lines):
        with socket.create_connection(("127.0.0.1", self.port), timeout=30 * PATIENCE) as peer, peer.makefile("rw") as stream:
            replies = []
            for line in lines:
                stream.write(line + "\n")
                stream.flush()
                replies.append(stream.readline().rstrip("\n").replace('": ', '":').replace(', "', ',"'))
            return replies

    def test_a_function_moves_from_the_host_to_a_worker(self):
        self.assertEqual(self.ask('price {"item": "tea", "count": 3}', 'stock {"item": "tea"}'),
                         ['ok {"item":"tea","total":7.5}', 'ok {"left":40,"by":"host"}'])
        self.assertEqual(self.ask('move stock'), ['ok moved'])
        self.assertEqual(self.ask('stock {"item": "tea"}'), ['ok {"left":40,"by":"worker"}'])

    def test_failures_are_replies(self):
        replies = self.ask('price {"item": "gold", "count": 1}', "nobody {}", "price {", 'price {"item": "tea", "count": 1}')
        self.assertRegex(replies[0], "^failed .*KeyError")
        self.assertRegex(replies[1], "^refused function_unknown")
        self.assertRegex(replies[2], "^(refused|failed) ")
        self.assertEqual(replies[3], 'ok {"item":"tea","total":2.5}')

    def test_a_signal_ends_it(self):
        with socket.create_connection(("127.0.0.1", self.port)):  # a client that says nothing keeps nothing alive
            self.process.send_signal(signal.SIGTERM)
            self.assertEqual(self.process.wait(20 * PATIENCE), 0)
        wait_until(lambda: not self.listening(), "the end of the port")

    def listening(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


if __name__ == "__main__":
    unittest.main()
