"""Functions with network: egress, against servers of this machine: real interpreters, real daemons, in strict and user mode."""
import pathlib
import socket
import struct
import threading
import unittest

from harness import DaemonTest, user_mode_problem, wait_until

PYTHON = """
import asyncio, errno, socket, urllib.request

def attempt(action):
    try:
        return action()
    except urllib.error.URLError as error:
        return attempt(lambda: (_ for _ in ()).throw(error.reason))
    except socket.gaierror as error:
        return "gaierror"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))

def connect(host, port):
    with socket.create_connection((host, port), timeout=5) as connection:
        connection.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        return connection.recv(4096).decode().splitlines()[0]

async def streams(host, port):
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
    line = await reader.readline()
    writer.close()
    return line.decode().strip()

def handler(event, context):
    host, port = event["host"], event["port"]
    if event["how"] == "urllib":
        return attempt(lambda: urllib.request.urlopen(f"http://{host}:{port}/", timeout=5).read().decode())
    if event["how"] == "asyncio":
        return attempt(lambda: asyncio.run(streams(host, port)))
    return attempt(lambda: connect(host, port))
"""

NODE = """
exports.handler = async ({ host, port }) => {
  try {
    return await (await fetch(`http://${host}:${port}/`)).text();
  } catch (error) {
    return error.cause?.code ?? error.cause?.errors?.[0]?.code ?? String(error);
  }
};
"""


class Server:
    """Answers each request with "hello"."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class NameServer:
    """Every name is 127.0.0.1. `asked` has the names."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.asked = []
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            packet, peer = self.socket.recvfrom(4096)
            if packet == b"end":
                return
            at, labels = 12, []
            while packet[at]:
                labels.append(packet[at + 1:at + 1 + packet[at]].decode())
                at += 1 + packet[at]
            self.asked.append(".".join(labels))
            is_a = struct.unpack("!H", packet[at + 1:at + 3])[0] == 1
            record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + b"\x7f\0\0\1" if is_a else b""
            self.socket.sendto(packet[:2] + struct.pack("!HHHHH", 0x8180, 1, int(is_a), 0, 0) + packet[12:at + 5] + record, peer)

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(b"end", ("127.0.0.1", self.port))
        self.thread.join()
        self.socket.close()


class Egress(DaemonTest):
    """As root: strict."""

    @classmethod
    def setUpClass(cls):
        cls.server, cls.other, cls.names = Server(), Server(), NameServer()
        for part in (cls.server, cls.other, cls.names):
            cls.addClassCleanup(part.close)
        cls.config = {"network": {"resolvers": [f"127.0.0.1:{cls.names.port}"]}}
        super().setUpClass()

    @classmethod
    def deploy_functions(cls):
        # The addresses of this test are this machine's own: only a range that names them opens them. A name alone would not.
        entries = f'"127.0.0.1/32:{cls.server.port}", "127.0.0.1/32:{cls.daemon.port}", "api.example.com"'
        manifest = "runtime: {}\nhandler: {}.handler\nnetwork: {{mode: egress, allow: [{}]}}\n"
        cls.daemon.python("py", PYTHON, manifest.format("python3", "app", entries))
        cls.daemon.node("js", NODE, manifest.format("nodejs", "index", entries))
        cls.daemon.python("named", PYTHON, manifest.format("python3", "app", '"api.example.com"'))
        cls.daemon.python("closed", PYTHON)

    def call(self, name, host, port, how="socket"):
        return self.daemon.invoke(name, {"host": host, "port": port, "how": how}).json()

    def test_an_agent_is_in_the_cgroup_of_its_worker(self):
        spawner = self.daemon.spawner_pid()
        own = pathlib.Path(f"/proc/{spawner}/cgroup").read_text()
        self.call("py", "127.0.0.1", self.server.port)
        groups = {}
        for pid in pathlib.Path(f"/proc/{spawner}/task/{spawner}/children").read_text().split():
            name = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
            groups.setdefault(name, set()).add(pathlib.Path(f"/proc/{pid}/cgroup").read_text())
        self.assertIn("hearth-egress", groups)
        if "/slot-" not in "".join(groups["hearth-init"]):
            self.skipTest("no cgroups here")
        self.assertNotIn(own, groups["hearth-egress"])
        self.assertLessEqual(groups["hearth-egress"], groups["hearth-init"])

    def test_python_reaches_what_is_named(self):
        for host in ("127.0.0.1", "api.example.com"):
            self.assertEqual(self.call("py", host, self.server.port), "HTTP/1.1 200 OK")
            self.assertEqual(self.call("py", host, self.server.port, "urllib"), "hello")
            self.assertEqual(self.call("py", host, self.server.port, "asyncio"), "HTTP/1.1 200 OK")

    def test_node_reaches_what_is_named(self):
        for host in ("127.0.0.1", "api.example.com"):
            self.assertEqual(self.call("js", host, self.server.port), "hello")

    def test_nothing_else_is_reached(self):
        # A loopback address that no entry names is the sandbox's own, where nobody listens.
        self.assertEqual(self.call("py", "127.0.0.1", self.other.port), "ECONNREFUSED")
        self.assertEqual(self.call("py", "10.1.2.3", 80), "EACCES")
        self.assertEqual(self.call("py", "192.0.2.1", 80), "EACCES")
        self.assertEqual(self.call("js", "10.1.2.3", 80), "EACCES")
        self.assertEqual(self.call("py", "evil.example.net", 80), "gaierror")
        self.assertNotIn("evil.example.net", self.names.asked)
        self.assertEqual(self.call("closed", "127.0.0.1", self.server.port), "ECONNREFUSED")

    def test_a_name_that_resolves_to_the_host_opens_nothing(self):
        self.assertEqual(self.call("named", "api.example.com", self.server.port), "ECONNREFUSED")
        self.assertIn("api.example.com", self.names.asked)

    def test_the_engine_is_not_reached_even_when_named(self):
        self.assertEqual(self.call("py", "127.0.0.1", self.daemon.port), "ECONNREFUSED")

    def test_refusals_are_told_and_counted(self):
        before = self.daemon.metrics()['hearth_egress_connects_total{result="denied_special"}']
        self.assertEqual(self.call("py", "10.77.0.1", 4242), "EACCES")
        wait_until(lambda: self.daemon.metrics()['hearth_egress_connects_total{result="denied_special"}'] > before, "the refusal is counted")
        wait_until(lambda: "10.77.0.1:4242" in self.daemon.cli("logs", "py").stdout, "the refusal stands in the function's log")
        self.assertEqual(self.daemon.request("GET", "/hearth/v1/sandbox").json()["egress"], "broker (seccomp user notification)")

    def test_a_bad_entry_is_refused_with_its_text(self):
        folder = self.daemon.folder("bad", {"app.py": PYTHON}, 'network: {mode: egress, allow: ["https://example.com"]}\n')
        done = self.daemon.cli("deploy", folder)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("https://example.com", done.stderr)


@unittest.skipIf(user_mode_problem(), user_mode_problem())
class EgressAsUser(Egress):
    """As an ordinary user."""

    user = True


class EgressDegraded(DaemonTest):
    """Where there is no network namespace."""

    user = True
    config = {"sandbox": {"allow_degraded": True}}
    sandbox = "degraded"

    def test_a_deploy_says_why_not(self):
        folder = self.daemon.folder("f", {"app.py": PYTHON}, "network: egress\n")
        done = self.daemon.cli("deploy", folder)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("network 'egress' is not available in this engine: this mode has no network namespaces", done.stderr)


if __name__ == "__main__":
    unittest.main()
