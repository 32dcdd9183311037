"""The HTTP front: framing, keep-alive, pipelining, limits, drain, health and metrics."""
import json
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

from harness import INVOKE, PATIENCE, ROOT, Daemon, DaemonTest, wait_until

ECHO = "def handler(event, context):\n    return event\n"
SLOW = "import time\ndef handler(event, context):\n    time.sleep(event['seconds'])\n    return 'slept'\n"


def post(name, body, extra="", host="localhost"):
    return (f"POST {INVOKE.format(name)} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n{extra}\r\n").encode() + body


class Reader:
    """Reads replies one after the other from a socket."""

    def __init__(self, peer):
        self.peer, self.buffer = peer, b""

    def _more(self):
        part = self.peer.recv(65536)
        if not part:
            raise EOFError(self.buffer)
        self.buffer += part

    def next(self):
        """(status, headers, body) of the next reply; a body needs Content-Length."""
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}
        status = int(lines[0].split()[1])
        length = int(headers.get("content-length", 0)) if status >= 200 else 0
        while len(self.buffer) < length:
            self._more()
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return status, headers, body

    def ended(self):
        try:
            while True:
                self._more()
        except (EOFError, ConnectionResetError):
            return self.buffer == b""


class Front(DaemonTest):
    @classmethod
    def deploy_functions(cls):
        cls.daemon.python("echo", ECHO)
        cls.daemon.python("slow", SLOW)

    def test_keep_alive(self):
        with self.daemon.connect() as peer:
            reader = Reader(peer)
            for number in range(20):
                peer.sendall(post("echo", str(number).encode()))
                status, _, body = reader.next()
                self.assertEqual((status, body), (200, str(number).encode()))

    def test_pipelined_replies_come_in_order(self):
        with self.daemon.connect() as peer:
            reader = Reader(peer)
            peer.sendall(post("slow", b'{"seconds": 0.2}') + b"".join(post("echo", str(n).encode()) for n in range(50)))
            self.assertEqual(reader.next()[2], b'"slept"')
            self.assertEqual([reader.next()[2] for _ in range(50)], [str(n).encode() for n in range(50)])

    def test_a_request_byte_by_byte(self):
        with self.daemon.connect() as peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in post("echo", b'"slow fingers"'):
                peer.sendall(bytes([byte]))
            self.assertEqual(Reader(peer).next()[2], b'"slow fingers"')

    def test_connection_close_and_http_1_0(self):
        for request in (post("echo", b"1", "Connection: close\r\n"), post("echo", b"1").replace(b"HTTP/1.1", b"HTTP/1.0")):
            with self.daemon.connect() as peer:
                peer.sendall(request)
                reader = Reader(peer)
                self.assertEqual(reader.next()[2], b"1")
                self.assertTrue(reader.ended())

    def test_chunked_requests(self):
        head = f"POST {INVOKE.format('echo')} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        with self.daemon.connect() as peer:
            reader = Reader(peer)
            peer.sendall(head + b'3\r\n[1,\r\n3;ext=1\r\n2,3\r\n1\r\n]\r\n0\r\nTrailer: x\r\n\r\n')
            self.assertEqual(json.loads(reader.next()[2]), [1, 2, 3])
            peer.sendall(head + b"2\r\n42\r\n0\r\n\r\n" + post("echo", b"43"))
            self.assertEqual([reader.next()[2], reader.next()[2]], [b"42", b"43"])

    def test_expect_100_continue(self):
        with self.daemon.connect() as peer:
            reader = Reader(peer)
            peer.sendall(post("echo", b"", "Expect: 100-continue\r\n").replace(b"Content-Length: 0", b"Content-Length: 2"))
            self.assertEqual(reader.next()[0], 100)
            peer.sendall(b"77")
            self.assertEqual(reader.next()[2], b"77")
        with self.daemon.connect() as peer:
            peer.sendall(post("echo", b"", "Expect: something-else\r\n").replace(b"Content-Length: 0", b"Content-Length: 2"))
            self.assertEqual(Reader(peer).next()[0], 417)

    def test_a_body_announced_too_large_is_refused_before_it_is_sent(self):
        with self.daemon.connect() as peer:
            peer.sendall(post("echo", b"", "Expect: 100-continue\r\n").replace(b"Content-Length: 0", b"Content-Length: 99999999"))
            self.assertEqual(Reader(peer).next()[0], 413)
        with self.daemon.connect() as peer:
            head = f"POST {INVOKE.format('echo')} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
            peer.sendall(head)
            chunk = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
            try:
                for _ in range(9):
                    peer.sendall(chunk)
            except OSError:
                pass
            self.assertEqual(Reader(peer).next()[0], 413)

    def test_heads_that_are_too_large(self):
        request = post("echo", b"1", "X-Long: " + "x" * 70000 + "\r\n")
        self.assertIn(b" 431 ", self.daemon.raw(request).split(b"\r\n")[0])
        many = "".join(f"X-{n}: 1\r\n" for n in range(200))
        self.assertIn(b" 431 ", self.daemon.raw(post("echo", b"1", many)).split(b"\r\n")[0])

    def test_smuggling_vectors_are_refused_and_end_the_connection(self):
        base = f"POST {INVOKE.format('echo')} HTTP/1.1\r\nHost: localhost\r\n"
        vectors = {
            "length and chunked": base + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "two lengths": base + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n12",
            "listed lengths": base + "Content-Length: 1, 1\r\n\r\n1",
            "signed length": base + "Content-Length: +1\r\n\r\n1",
            "hexadecimal length": base + "Content-Length: 0x1\r\n\r\n1",
            "folded header": base + "X: a\r\n Content-Length: 3\r\n\r\n123",
            "space before the colon": base + "Content-Length : 1\r\n\r\n1",
            "empty header name": base + ": y\r\nContent-Length: 1\r\n\r\n1",
            "bare carriage return": base + "X: a\rContent-Length: 3\r\n\r\n123",
            "bare line feed": base.replace("\r\n", "\n") + "\n",
            "control character": base + "X: a\x01b\r\n\r\n",
            "NUL": base + "X: a\x00b\r\n\r\n",
            "two hosts": base + "Host: localhost\r\n\r\n",
            "no host": f"POST {INVOKE.format('echo')} HTTP/1.1\r\n\r\n",
            "unknown transfer coding": base + "Transfer-Encoding: gzip\r\n\r\n",
            "chunked twice": base + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "chunked on 1.0": base.replace("HTTP/1.1", "HTTP/1.0") + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "other protocol": base.replace("HTTP/1.1", "RTSP/1.0") + "\r\n",
            "version 2": base.replace("HTTP/1.1", "HTTP/2.0") + "\r\n",
            "bad chunk size": base + "Transfer-Encoding: chunked\r\n\r\n3\rX\nabc\r\n0\r\n\r\n",
            "no request": "hello there\r\n\r\n",
        }
        for name, text in vectors.items():
            with self.subTest(name=name):
                answer = self.daemon.raw(text.encode("latin-1") + post("echo", b'"smuggled"'), timeout=3)
                self.assertNotIn(b"smuggled", answer)
                self.assertLessEqual(len(re.findall(rb"HTTP/1\.1 \d{3} ", answer)), 1, answer)
                if answer:
                    self.assertRegex(answer, rb"^HTTP/1\.1 (400|505|501|421|411) ")

    def test_unknown_paths_and_methods(self):
        self.assertEqual(self.daemon.request("GET", "/nothing/here").status, 404)

    def test_a_wrong_method_is_told_the_right_ones(self):
        function, ours = "/2015-03-31/functions/echo", "/hearth/v1"
        cases = [("GET", INVOKE.format("echo"), "POST"), ("DELETE", "/2015-03-31/functions", "GET, HEAD, POST"),
                 ("POST", function, "GET, HEAD, DELETE"), ("GET", f"{function}/code", "PUT"), ("POST", f"{function}/configuration", "GET, HEAD, PUT"),
                 ("DELETE", f"{function}/versions", "GET, HEAD"), ("POST", f"{ours}/functions", "GET, HEAD"), ("PUT", f"{ours}/state", "GET, HEAD"),
                 ("PUT", f"{ours}/functions/echo", "GET, HEAD"), ("DELETE", f"{ours}/functions/echo/logs", "GET, HEAD"),
                 ("POST", "/healthz", "GET, HEAD"), ("DELETE", "/readyz", "GET, HEAD"), ("PUT", "/metrics", "GET, HEAD")]
        for method, path, methods in cases:
            for body in (None, b"{}"):
                with self.subTest(method=method, path=path, body=body):
                    reply = self.daemon.request(method, path, body=body)
                    self.assertEqual((reply.status, reply.headers.get("allow")), (405, methods), reply)

    def test_health(self):
        self.assertEqual(self.daemon.request("GET", "/healthz").status, 200)
        self.assertEqual(self.daemon.request("GET", "/readyz").status, 200)
        reply = self.daemon.request("HEAD", "/healthz")
        self.assertEqual((reply.status, reply.body), (200, b""))

    def test_metrics_are_valid_and_count(self):
        before = self.daemon.metrics()
        self.assertEqual(self.daemon.invoke("echo", 1).status, 200)
        after = self.daemon.metrics()
        self.assertTrue(any(after[name] > before.get(name, 0) for name in after if "total" in name or "count" in name), after)
        reply = self.daemon.request("GET", "/metrics")
        self.assertTrue(reply.headers["content-type"].startswith("text/plain"), reply.headers)
        promtool = ROOT / "build/tools/promtool"
        if not promtool.exists():
            self.skipTest("promtool is not there: tests/install_packages promtool")
        done = subprocess.run([promtool, "check", "metrics"], input=reply.body, capture_output=True, check=False)
        # Exit code 3 is the linter's taste in names; 1 is a text that Prometheus can't read.
        self.assertIn(done.returncode, (0, 3), done.stdout.decode() + done.stderr.decode())
        self.assertNotIn(b"error while linting", done.stderr)

    def test_a_client_that_goes_away_harms_nobody(self):
        for _ in range(20):
            with self.daemon.connect() as peer:
                peer.sendall(post("slow", b'{"seconds": 0.05}'))
        for _ in range(20):
            with self.daemon.connect() as peer:
                peer.sendall(post("echo", b"123")[:-2])
        self.assertEqual(self.daemon.invoke("echo", 5).json(), 5)

    def test_a_client_that_does_not_read_harms_nobody(self):
        with self.daemon.connect() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            big = json.dumps("z" * (5 << 20)).encode()
            peer.sendall(post("echo", big))
            self.assertEqual(self.daemon.invoke("echo", 5).json(), 5)
            time.sleep(0.3)
            self.assertEqual(self.daemon.invoke("echo", 6).json(), 6)


class Limits(DaemonTest):
    config = {"http": {"connections": 20, "head_timeout": "500ms", "body_timeout": "700ms", "idle_timeout": "1s", "head": "4KB"}}

    @classmethod
    def deploy_functions(cls):
        cls.daemon.python("echo", ECHO)

    def assert_ends_between(self, peer, least, most):
        began = time.monotonic()
        peer.settimeout(10 * PATIENCE)
        data = b""
        try:
            while part := peer.recv(65536):
                data += part
        except ConnectionResetError:
            pass
        took = time.monotonic() - began
        self.assertGreater(took, least)
        self.assertLess(took, most * PATIENCE)
        return data

    def test_a_head_that_does_not_come_to_its_end(self):
        with self.daemon.connect() as peer:
            peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: loc")
            self.assertRegex(self.assert_ends_between(peer, 0.3, 3), rb"^(HTTP/1\.1 408 |$)")

    def test_a_head_that_trickles(self):
        with self.daemon.connect() as peer:
            stop = threading.Event()

            def trickle():
                while not stop.wait(0.1):
                    try:
                        peer.sendall(b"X")
                    except OSError:
                        return

            peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            thread = threading.Thread(target=trickle)
            thread.start()
            try:
                self.assert_ends_between(peer, 0.3, 3)
            finally:
                stop.set()
                thread.join()

    def test_a_body_that_does_not_come(self):
        with self.daemon.connect() as peer:
            peer.sendall(post("echo", b"", "").replace(b"Content-Length: 0", b"Content-Length: 5") + b"12")
            self.assertRegex(self.assert_ends_between(peer, 0.5, 4), rb"^(HTTP/1\.1 408 |$)")

    def test_an_idle_connection(self):
        with self.daemon.connect() as peer:
            peer.sendall(post("echo", b"1"))
            self.assertEqual(Reader(peer).next()[2], b"1")
            self.assertEqual(self.assert_ends_between(peer, 0.7, 4), b"")

    def test_the_configured_head_limit(self):
        self.assertIn(b" 431 ", self.daemon.raw(post("echo", b"1", "X-Long: " + "x" * 5000 + "\r\n")).split(b"\r\n")[0])
        self.assertEqual(self.daemon.request("GET", "/healthz", headers={"X-Long": "x" * 3000}).status, 200)

    def test_the_connection_limit(self):
        peers = []
        try:
            for _ in range(20):
                peers.append(self.daemon.connect())
            time.sleep(0.1)
            answer = self.daemon.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", timeout=3)
            self.assertRegex(answer, rb"^(HTTP/1\.1 503 |$)")
        finally:
            for peer in peers:
                peer.close()
        wait_until(self.daemon.is_ready, "free connections again", 5)


class Drain(DaemonTest):
    shared = False

    def test_sigterm_lets_calls_end_and_refuses_new_ones(self):
        daemon = self.own_daemon()
        daemon.python("slow", SLOW, "timeout: 10s\n")
        daemon.invoke("slow", {"seconds": 0})
        with daemon.connect() as calling, daemon.connect() as idle:
            reader = Reader(calling)
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual(Reader(idle).next()[0], 200)
            calling.sendall(post("slow", b'{"seconds": 1}'))
            time.sleep(0.3)
            daemon.process.send_signal(signal.SIGTERM)
            status, headers, body = reader.next()
            self.assertEqual((status, body), (200, b'"slept"'))
            self.assertTrue(reader.ended(), "a drained connection is closed behind its last reply")
            self.assertEqual(headers.get("connection"), "close")
        self.assertEqual(daemon.stop(None), 0)

    def test_the_drain_has_a_deadline(self):
        daemon = self.own_daemon({"limits": {"drain_timeout": "500ms"}})
        daemon.python("slow", SLOW, "timeout: 60s\n")
        daemon.invoke("slow", {"seconds": 0})
        with daemon.connect() as calling:
            calling.sendall(post("slow", b'{"seconds": 50}'))
            time.sleep(0.3)
            began = time.monotonic()
            daemon.process.send_signal(signal.SIGTERM)
            status, headers, _ = Reader(calling).next()
            self.assertEqual(status, 503)
            self.assertTrue(headers.get("x-amzn-errortype"))
        self.assertEqual(daemon.stop(None), 0)
        self.assertLess(time.monotonic() - began, 8 * PATIENCE)

    def test_readyz_while_draining(self):
        daemon = self.own_daemon()
        daemon.python("slow", SLOW, "timeout: 10s\n")
        daemon.invoke("slow", {"seconds": 0})
        with daemon.connect() as calling, daemon.connect() as other:
            calling.sendall(post("slow", b'{"seconds": 1.5}'))
            other.sendall(b"GET /readyz HTTP/1.1\r\nHost: loc")  # a request under way is still answered
            time.sleep(0.2)
            daemon.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            other.sendall(b"alhost\r\n\r\n")
            self.assertEqual(Reader(other).next()[0], 503)
            self.assertEqual(Reader(calling).next()[0], 200)
        self.assertEqual(daemon.stop(None), 0)

    def test_sigint_ends_as_well(self):
        daemon = self.own_daemon()
        self.assertEqual(daemon.stop(signal.SIGINT), 0)

    def test_two_daemons_do_not_share_a_state_folder(self):
        daemon = self.own_daemon()
        second = Daemon(state=daemon.state, work=daemon.work)
        second.log_path = daemon.work / "second.log"
        second.command[second.command.index("--listen") + 1] = "127.0.0.1:0"
        address = (daemon.state / "listen").read_text()
        second.process = subprocess.Popen(second.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=second.environment())
        out, _ = second.process.communicate(timeout=20 * PATIENCE)
        self.assertNotEqual(second.process.returncode, 0, out)
        self.assertEqual((daemon.state / "listen").read_text(), address)
        self.assertTrue(daemon.is_ready())


if __name__ == "__main__":
    unittest.main()
