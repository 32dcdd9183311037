"""Replies that functions stream, over real HTTP: as they are made, with back-pressure, and whole to callers that want them whole."""
import http.client
import json
import socket
import time
import unittest

from harness import DaemonTest, rss_kib, wait_until

NODE = """
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const ways = {
  async sse(event, stream) {
    stream = awslambda.HttpResponseStream.from(stream, { statusCode: 200, headers: { 'content-type': 'text/event-stream', 'x-one': '1' }, cookies: ['a=b'] });
    for (let i = 0; i < 4; i++) {
      stream.write(`data: ${i}\\n\\n`);
      await later(150);
    }
    stream.end();
  },
  async big(event, stream) {
    const chunk = Buffer.alloc(65536, 'x');
    for (let i = 0; i < 640; i++) if (!stream.write(chunk)) await new Promise((resolve) => stream.once('drain', resolve));
    stream.end();
  },
  async endless(event, stream) { for (;;) { stream.write('x'.repeat(65536)); await later(1); } },
  async typed(event, stream) { stream.setContentType('text/csv'); stream.end('a,b\\n'); },
  async injected(event, stream) { stream.setContentType('text/csv\\r\\nX-Evil: 1'); stream.end('a'); },
  async badhead(event, stream) { awslambda.HttpResponseStream.from(stream, { statusCode: 99 }).end('a'); },
  async none(event, stream) { awslambda.HttpResponseStream.from(stream, { statusCode: 204 }).end(); },
  async fails(event, stream) { throw new TypeError('before'); },
  async breaks(event, stream) { stream.write('half'); await later(50); throw new RangeError('midway'); },
  async hangs(event, stream) { stream.write('half'); await later(60000); },
  async crashes(event, stream) { stream.write('half'); await later(50); process.reallyExit(9); },
};
exports.handler = awslambda.streamifyResponse((event, stream) => ways[event.do || event.rawPath.slice(1)](event, stream));
"""
PYTHON = """
import time
def handler(event, context):
    way = event.get('do') or event['rawPath'][1:]
    if way == 'plain':
        return {'plain': True}
    return stream(way)

def stream(way):
    if way == 'sse':
        yield {'headers': {'content-type': 'text/event-stream'}}
        for i in range(4):
            yield 'data: %d\\n\\n' % i
            time.sleep(0.15)
    elif way == 'big':
        for i in range(640):
            yield b'x' * 65536
    elif way == 'breaks':
        yield 'half'
        raise IndexError('midway')
"""


class Streams(DaemonTest):
    config = {"limits": {"stream": "64MB"}}

    @classmethod
    def deploy_functions(cls):
        cls.daemon.node("node", NODE, json.dumps({"timeout": "60s"}))
        cls.daemon.python("python", PYTHON, json.dumps({"timeout": "60s"}))

    def get(self, path, method="GET", headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=20)
        self.addCleanup(connection.close)
        connection.request(method, path, headers=headers or {})
        return connection.getresponse()

    def test_parts_come_as_they_are_made(self):
        for name in ("node", "python"):
            self.get(f"/fn/{name}/sse").read()
            with self.subTest(name):
                answer = self.get(f"/fn/{name}/sse")
                self.assertEqual((answer.status, answer.headers["content-type"], answer.headers["transfer-encoding"]), (200, "text/event-stream", "chunked"))
                times = []
                for i in range(4):
                    self.assertEqual(answer.readline(), b"data: %d\n" % i)
                    times.append(time.monotonic())
                    self.assertEqual(answer.readline(), b"\n")
                self.assertGreater(times[3] - times[0], 0.3)
                self.assertEqual(answer.read(), b"")

    def test_head_and_cookies_are_those_of_the_function(self):
        answer = self.get("/fn/node/sse")
        self.assertEqual((answer.headers["x-one"], answer.headers["set-cookie"]), ("1", "a=b; Path=/fn/node"))
        self.assertTrue(answer.headers["x-amzn-requestid"])
        answer.read()
        typed = self.get("/fn/node/typed")
        self.assertEqual((typed.headers["content-type"], typed.read()), ("text/csv", b"a,b\n"))
        self.assertEqual(self.get("/fn/python/plain").headers["content-type"], "application/json")

    def test_a_stream_larger_than_any_buffer_comes_whole(self):
        for name in ("node", "python"):
            with self.subTest(name):
                self.assertEqual(len(self.get(f"/fn/{name}/big").read()), 640 * 65536)

    def test_a_slow_reader_holds_the_function_and_not_the_engines_memory(self):
        for name in ("node", "python"):
            with self.subTest(name):
                client = socket.create_connection(("127.0.0.1", self.daemon.port))
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                before = rss_kib(self.daemon.pid)
                client.sendall(b"GET /fn/%s/big HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % name.encode())
                time.sleep(1.0)
                self.assertLess(rss_kib(self.daemon.pid) - before, 8 * 1024)
                client.settimeout(30)
                size = 0
                while data := client.recv(1 << 20):
                    size += len(data)
                client.close()
                self.assertGreater(size, 640 * 65536)

    def test_a_client_that_leaves_frees_the_worker_in_time(self):
        self.daemon.node("leaves", NODE, json.dumps({"timeout": "2s", "concurrency": {"workers_max": 1}}))
        client = socket.create_connection(("127.0.0.1", self.daemon.port))
        client.sendall(b"GET /fn/leaves/endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertTrue(client.recv(100).startswith(b"HTTP/1.1 200"))
        client.close()
        answer = self.get("/fn/leaves/typed")  # waits for the deadline of the other
        self.assertIn(answer.status, (200, 504))
        wait_until(lambda: self.get("/fn/leaves/typed").status == 200, "the function works again")

    def test_a_stream_has_a_limit(self):
        answer = self.get("/fn/node/endless")
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            answer.read()
        metrics = self.daemon.request("GET", "/metrics").text
        self.assertRegex(metrics, r"(?m)^hearth_api_broken_streams_total [1-9]")

    def test_what_fails_before_the_first_byte_is_an_answer_and_later_it_breaks_off(self):
        self.assertEqual(self.get("/fn/node/fails").status, 502)
        for path in ("node/breaks", "python/breaks", "node/crashes"):
            with self.subTest(path):
                answer = self.get("/fn/" + path)
                self.assertEqual(answer.status, 200)
                with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
                    answer.read()
        self.assertEqual(self.get("/fn/node/typed").read(), b"a,b\n")

    def test_a_deadline_ends_a_stream(self):
        self.daemon.node("short", NODE, json.dumps({"timeout": "1s"}))
        answer = self.get("/fn/short/hangs")
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            answer.read()

    def test_a_head_that_http_can_not_carry_is_a_bad_reply(self):
        for path in ("badhead", "injected"):
            with self.subTest(path):
                answer = self.get(f"/fn/node/{path}")
                self.assertEqual((answer.status, answer.headers["x-hearth-error"], answer.headers["x-evil"]), (502, "reply_invalid", None))
                answer.read()
        self.assertEqual(self.get("/fn/node/typed").status, 200)

    def test_bodiless_answers_keep_their_connection(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=20)
        self.addCleanup(connection.close)
        for method, path, status, size in (("GET", "none", 204, 0), ("HEAD", "typed", 200, 0), ("GET", "typed", 200, 4), ("GET", "sse", 200, 36)):
            connection.request(method, f"/fn/node/{path}")
            answer = connection.getresponse()
            self.assertEqual((answer.status, len(answer.read())), (status, size), path)

    def test_http_1_0_gets_it_until_the_connection_closes(self):
        client = socket.create_connection(("127.0.0.1", self.daemon.port))
        client.sendall(b"GET /fn/node/typed HTTP/1.0\r\nHost: localhost\r\n\r\n")
        client.settimeout(10)
        data = b""
        while part := client.recv(65536):
            data += part
        client.close()
        head, _, body = data.partition(b"\r\n\r\n")
        self.assertNotIn(b"chunked", head.lower())
        self.assertEqual(body, b"a,b\n")

    def test_invoke_gets_a_stream_whole(self):
        self.assertEqual(self.daemon.invoke("node", {"do": "typed"}).body, b"a,b\n")
        body = self.daemon.invoke("node", {"do": "sse"}).body
        head, _, rest = body.partition(b"\0" * 8)
        self.assertEqual((json.loads(head)["headers"]["x-one"], rest.count(b"data: ")), ("1", 4))
        self.assertEqual(self.daemon.invoke("python", {"do": "plain"}).json(), {"plain": True})
        reply = self.daemon.invoke("node", {"do": "big"})
        self.assertEqual(reply.status, 200)
        self.assertIn("x-amz-function-error", reply.headers)


if __name__ == "__main__":
    unittest.main()
