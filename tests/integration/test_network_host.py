"""Functions with network: host, against servers of this machine: real interpreters, real daemons, in strict and user mode."""
import pathlib
import socket
import subprocess
import threading
import unittest

from harness import ROOT, DaemonTest, user_mode_problem, wait_until

PYTHON = """
import errno, socket

def handler(event, context):
    family = socket.AF_INET6 if ":" in event["host"] else socket.AF_INET
    kind = socket.SOCK_DGRAM if event["how"] == "udp" else socket.SOCK_STREAM
    if event["how"] == "name":
        return socket.getaddrinfo(event["host"], 80, socket.AF_INET)[0][4][0]
    with socket.socket(family, kind) as own:
        own.settimeout(5)
        try:
            if kind == socket.SOCK_DGRAM:
                own.sendto(b"hello", (event["host"], event["port"]))
            else:
                own.connect((event["host"], event["port"]))
                own.sendall(b"hello")
            return own.recv(64).decode()
        except OSError as error:
            return errno.errorcode.get(error.errno, str(error))
"""

NODE = """
const dgram = require('dgram'), net = require('net');
exports.handler = (event) => new Promise((resolve) => {
  if (event.how === 'udp') {
    const own = dgram.createSocket('udp4');
    own.on('message', (bytes) => { own.close(); resolve(String(bytes)); });
    own.on('error', (error) => resolve(error.code));
    own.send('hello', event.port, event.host);
    return;
  }
  const own = net.connect(event.port, event.host, () => own.write('hello'));
  own.on('data', (bytes) => { own.destroy(); resolve(String(bytes)); });
  own.on('error', (error) => resolve(error.code));
});
"""

NATIVE = r"""
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "hearth_worker.h"

static void reach(hearth_call* call, const char* event, size_t size, void* user) {
  char copy[256], how[8] = "", answer[64], reply[96];
  int port = 0;
  (void)user;
  snprintf(copy, sizeof copy, "%.*s", (int)size, event);
  if (sscanf(copy, "\"%7[a-z] %d", how, &port) != 2) {
    hearth_reply_error(call, "Bad", copy);
    return;
  }
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int fd = socket(AF_INET, strcmp(how, "udp") == 0 ? SOCK_DGRAM : SOCK_STREAM, 0);
  ssize_t n = -1;
  if (connect(fd, (struct sockaddr*)&to, sizeof to) == 0 && send(fd, "hello", 5, 0) == 5) n = recv(fd, answer, sizeof answer, 0);
  if (n >= 0) snprintf(reply, sizeof reply, "\"%.*s\"", (int)n, answer);
  else snprintf(reply, sizeof reply, "\"%s\"", errno == EACCES ? "EACCES" : strerror(errno));
  close(fd);
  hearth_reply(call, reply, strlen(reply));
}

int main(void) { return hearth_worker_run(reach, NULL); }
"""

# All of them mean this machine to connect(); its engine listens on the first.
ADDRESSES = ("127.0.0.1", "127.1.2.3", "0.0.0.0", "::ffff:127.0.0.1")


class Echo:
    """Sends back what comes, over TCP and UDP, on one port."""

    def __init__(self):
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self.tcp.getsockname()[1]
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        for serve in (self._serve_tcp, self._serve_udp):
            threading.Thread(target=serve, daemon=True).start()

    def _serve_tcp(self):
        while True:
            try:
                connection = self.tcp.accept()[0]
            except OSError:
                return
            with connection:
                connection.sendall(b"tcp " + connection.recv(64))

    def _serve_udp(self):
        while True:
            data, peer = self.udp.recvfrom(64)
            if data == b"end":
                return
            self.udp.sendto(b"udp " + data, peer)

    def close(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(b"end", ("127.0.0.1", self.port))
        self.tcp.shutdown(socket.SHUT_RDWR)
        self.tcp.close()


def own_address():
    """An address of this machine that is not on its loopback, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))
        except OSError:
            return None
        return probe.getsockname()[0]


def build_native(folder):
    (folder / "reach.c").write_text(NATIVE)
    subprocess.run(["gcc", "-O1", "-static", "-I", ROOT / "runtimes/custom", "-o", folder / "reach", folder / "reach.c"], check=True)
    return (folder / "reach").read_bytes()


class HostNetwork(DaemonTest):
    """As root: strict."""

    config = {"network": {"allow_host": True}}

    @classmethod
    def setUpClass(cls):
        cls.echo = Echo()
        cls.addClassCleanup(cls.echo.close)
        super().setUpClass()

    @classmethod
    def deploy_functions(cls):
        cls.daemon.python("py", PYTHON, "network: host\n")
        cls.daemon.node("js", NODE, "network: host\n")
        cls.daemon.deploy("c", {"reach": build_native(pathlib.Path(cls.daemon.work))}, "runtime: native\nhandler: reach\nnetwork: host\n")
        cls.daemon.python("closed", PYTHON)

    def call(self, name, how, host, port):
        event = f"{how} {port}" if name == "c" else {"how": how, "host": host, "port": port}
        return self.daemon.invoke(name, event).json()

    def test_servers_of_the_machine_are_reached_over_tcp_and_udp(self):
        for name in ("py", "js", "c"):
            for how in ("tcp", "udp"):
                self.assertEqual(self.call(name, how, "127.0.0.1", self.echo.port), f"{how} hello", name)

    def test_a_function_without_it_has_a_network_of_its_own(self):
        self.assertEqual(self.call("closed", "tcp", "127.0.0.1", self.echo.port), "ECONNREFUSED")

    def test_the_engine_is_reached_by_no_address(self):
        for name in ("py", "js", "c"):
            for address in ADDRESSES:
                self.assertEqual(self.call(name, "tcp", address, self.daemon.port), "EACCES", (name, address))

    def test_a_listener_on_all_addresses_is_reached_by_none(self):
        for listen in ("0.0.0.0:0", "[::]:0") if pathlib.Path("/proc/net/if_inet6").exists() else ("0.0.0.0:0",):
            daemon = self.own_daemon({**self.config, "http": {"functions_listen": listen}}, user=self.user)
            daemon.python("py", PYTHON, "network: host\n")
            port = int(next(line for line in daemon.log().splitlines() if "function URLs also on" in line).rsplit(":", 1)[1])
            own = own_address()
            addresses = [*ADDRESSES, *(["::1", "::"] if "[" in listen else []), *([own] if own else [])]
            for address in addresses:
                self.assertEqual(daemon.invoke("py", {"how": "tcp", "host": address, "port": port}).json(), "EACCES", (listen, address))
            # The control: the test itself, which is on no leash, gets through.
            with socket.create_connection(("::1" if "[" in listen else own or "127.0.0.1", port), timeout=5):
                pass
            self.assertEqual(daemon.invoke("py", {"how": "tcp", "host": "127.0.0.1", "port": self.echo.port}).json(), "tcp hello")

    def test_refusals_starts_and_the_mechanism_are_shown(self):
        self.call("py", "tcp", "127.0.0.1", self.daemon.port)
        self.assertGreaterEqual(self.daemon.metrics()["hearth_host_network_starts_total"], 1)
        wait_until(lambda: self.daemon.metrics()['hearth_egress_connects_total{result="denied_engine"}'] >= 1, "the refusal is counted")
        self.assertIn("a python3 worker starts in the host's network, for 'py'", self.daemon.log())
        said = "permitted; the broker refuses the engine's listeners"
        self.assertEqual(self.daemon.request("GET", "/hearth/v1/sandbox").json()["network_host"], said)
        self.assertEqual(self.daemon.request("GET", "/hearth/v1/doctor").json()["sandbox"]["network_host"], said)

    def test_the_layers_of_each_function_are_shown(self):
        self.daemon.python("plain", "def handler(event, context):\n    return 1\n")
        told = self.daemon.request("GET", "/hearth/v1/sandbox").json()
        functions = {one["name"]: {layer["name"]: layer["reason"] for layer in one["layers_off"]} for one in told["functions"]}
        engine_off = {layer["name"]: layer["reason"] for layer in told["layers"] if not layer["on"]}
        self.assertEqual(functions["plain"], engine_off)
        self.assertIn("network: host", functions["py"].pop("network_namespace"))
        self.assertEqual(functions["py"], engine_off)
        metrics = self.daemon.metrics()
        self.assertEqual(metrics['hearth_function_layer{function="py",layer="network_namespace"}'], 0)
        self.assertNotIn('hearth_function_layer{function="plain",layer="network_namespace"}', metrics)
        self.assertRegex(self.daemon.log(), r"'py': network host, without .*network_namespace")
        self.assertRegex(self.daemon.log(), r"'plain': network none, ")

    def test_names_of_the_machine_are_known(self):
        self.assertEqual(self.call("py", "name", "localhost", 0), "127.0.0.1")
        self.daemon.python("names", "def handler(event, context):\n    return [open('/etc/' + n).read() for n in ('hosts', 'resolv.conf')]\n",
                           "network: host\n")
        self.assertEqual(self.daemon.invoke("names").json(), [pathlib.Path("/etc", name).read_text() for name in ("hosts", "resolv.conf")])
        self.daemon.python("writes", "import os\ndef handler(event, context):\n    return [os.access('/etc/' + n, os.W_OK) for n in "
                                     "('hosts', 'resolv.conf')]\n", "network: host\n")
        self.assertEqual(self.daemon.invoke("writes").json(), [False, False])


@unittest.skipIf(user_mode_problem(), user_mode_problem())
class HostNetworkAsUser(HostNetwork):
    """As an ordinary user."""

    user = True


class NotPermitted(DaemonTest):
    def test_a_deploy_names_the_key(self):
        done = self.daemon.cli("deploy", self.daemon.folder("f", {"app.py": PYTHON}, "network: host\n"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("network 'host' is not available in this engine: hearth.yaml does not permit it (network.allow_host: true would)",
                      done.stderr)
        self.assertEqual(self.daemon.request("GET", "/hearth/v1/sandbox").json()["network_host"],
                         "not permitted: network.allow_host is false")

    def test_what_was_deployed_before_is_not_called(self):
        daemon = self.own_daemon({"network": {"allow_host": True}})
        daemon.python("f", PYTHON, "network: host\n")
        daemon.stop()
        daemon.config.write_text("{}")
        daemon.start()
        self.assertGreaterEqual(daemon.invoke("f", {}).status, 400)
        self.assertIn("'f' can't be called: network 'host' is not available", daemon.log())


class NotInDegraded(DaemonTest):
    """Nothing there keeps a function from the engine's listeners."""

    user = True
    config = {"sandbox": {"allow_degraded": True}, "network": {"allow_host": True}}
    sandbox = "degraded"

    def test_a_deploy_says_why_not(self):
        done = self.daemon.cli("deploy", self.daemon.folder("f", {"app.py": PYTHON}, "network: host\n"))
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("network 'host' is not available in this engine: this mode has no network namespaces", done.stderr)


if __name__ == "__main__":
    unittest.main()
