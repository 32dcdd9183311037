"""Function URLs: the event in API Gateway's shape 2.0, the reply's shapes, cookies, NAME.localhost."""
import base64
import json
import unittest

from harness import DaemonTest

APP = """
import base64, os, time
def handler(event, context):
    path = event["rawPath"]
    if path == "/event":
        return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": __import__("json").dumps(event)}
    if path == "/binary":
        return {"statusCode": 201, "headers": {"Content-Type": "image/x-test"}, "isBase64Encoded": True,
                "body": base64.b64encode(bytes(range(256))).decode()}
    if path == "/cookies":
        return {"statusCode": 200, "cookies": ["a=1", "b=2; Path=/", "c=3; path=/deep; HttpOnly"], "body": "x"}
    if path == "/text": return "hello"
    if path == "/list": return ["hello", 3, True]
    if path == "/number": return 3.1
    if path == "/object": return {"a": 1}
    if path == "/null": return None
    if path == "/empty": return {"statusCode": 204}
    if path == "/redirect": return {"statusCode": 302, "headers": {"Location": "/elsewhere"}, "body": ""}
    if path == "/raise": raise ValueError("secret detail")
    if path == "/crash": os._exit(3)
    if path == "/hang": time.sleep(60)
    if path == "/bad_status": return {"statusCode": 99999, "body": "x"}
    if path == "/bad_headers": return {"statusCode": 200, "headers": {"x-a": "b\\r\\nx-injected: 1", "content-length": "5", "connection": "close"},
                                       "body": "longer than five"}
    if path == "/bad_base64": return {"statusCode": 200, "isBase64Encoded": True, "body": "*** not base64 ***"}
    return {"statusCode": 404, "body": path}
"""


class FunctionUrl(DaemonTest):
    @classmethod
    def deploy_functions(cls):
        cls.daemon.python("web", APP, "timeout: 1s\n")

    def event(self, method="GET", path="/event", body=None, headers=None):
        reply = self.daemon.request(method, "/fn/web" + path, body, headers)
        self.assertEqual(reply.status, 200, reply)
        return reply.json()

    def test_the_event_has_the_whole_v2_shape(self):
        event = self.event("PUT", "/event?colour=red&colour=blue&empty=&enc=%C3%BC%20x&a%2Bb=c", b"body text",
                           {"Content-Type": "text/plain", "X-Custom": "Value", "User-Agent": "test/1", "Cookie": "k1=v1; k2=v2"})
        self.assertEqual(event["version"], "2.0")
        self.assertEqual(event["routeKey"], "$default")
        self.assertEqual(event["rawPath"], "/event")
        self.assertEqual(event["rawQueryString"], "colour=red&colour=blue&empty=&enc=%C3%BC%20x&a%2Bb=c")
        self.assertEqual(event["queryStringParameters"], {"colour": "red,blue", "empty": "", "enc": "ü x", "a+b": "c"})
        self.assertEqual(event["cookies"], ["k1=v1", "k2=v2"])
        self.assertEqual(event["headers"]["x-custom"], "Value")
        self.assertNotIn("cookie", event["headers"])
        self.assertEqual((event["body"], event["isBase64Encoded"]), ("body text", False))
        context = event["requestContext"]
        for key in ("accountId", "apiId", "domainName", "domainPrefix", "requestId", "routeKey", "stage", "time", "timeEpoch"):
            self.assertIn(key, context)
        self.assertRegex(context["time"], r"^\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000$")
        self.assertIsInstance(context["timeEpoch"], int)
        self.assertEqual({k: context["http"][k] for k in ("method", "path", "protocol", "sourceIp", "userAgent")},
                         {"method": "PUT", "path": "/event", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "test/1"})

    def test_header_lines_of_one_name_are_joined(self):
        request = (b"GET /fn/web/event HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                   b"X-Multi: one\r\nx-multi: two\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n")
        event = json.loads(self.daemon.raw(request).split(b"\r\n\r\n", 1)[1])
        self.assertEqual(event["headers"]["x-multi"], "one,two")
        self.assertEqual(event["cookies"], ["a=1", "b=2"])

    def test_paths(self):
        self.assertEqual(self.daemon.request("GET", "/fn/web/a/b%20c/%2Fd").text, "/a/b%20c/%2Fd")
        self.assertEqual(self.daemon.request("GET", "/fn/web").text, "/")
        self.assertEqual(self.daemon.request("GET", "/fn/web/").text, "/")
        self.assertEqual(self.event()["rawQueryString"], "")

    def test_every_method(self):
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            with self.subTest(method=method):
                self.assertEqual(self.event(method)["requestContext"]["http"]["method"], method)

    def test_head_has_the_headers_and_no_body(self):
        reply = self.daemon.request("HEAD", "/fn/web/text")
        self.assertEqual((reply.status, reply.body), (200, b""))
        raw = self.daemon.raw(b"HEAD /fn/web/binary HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        self.assertTrue(raw.endswith(b"\r\n\r\n"), raw)
        self.assertIn(b"ontent-", raw)

    def test_a_binary_body_is_base64(self):
        body = bytes(range(256))
        event = self.event("POST", body=body, headers={"Content-Type": "application/octet-stream"})
        self.assertTrue(event["isBase64Encoded"])
        self.assertEqual(base64.b64decode(event["body"]), body)
        event = self.event("POST", body=b'{"a":"\xc3\xbc"}', headers={"Content-Type": "application/json"})
        self.assertEqual((event["body"], event["isBase64Encoded"]), ('{"a":"ü"}', False))
        event = self.event("POST", body=b"\xff\xfe", headers={"Content-Type": "text/plain"})
        self.assertTrue(event["isBase64Encoded"], "bytes that are no UTF-8 can't be a JSON string")

    def test_characters_that_json_must_escape(self):
        text = 'quote " backslash \\ newline \n tab \t bell \x07 slash / snow \u2603 face \U0001f600'
        event = self.event("POST", body=text.encode(), headers={"Content-Type": "text/plain; charset=utf-8"})
        self.assertEqual(event["body"] if not event["isBase64Encoded"] else base64.b64decode(event["body"]).decode(), text)

    def test_a_chunked_body(self):
        request = (b"POST /fn/web/event HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: text/plain\r\n"
                   b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\n")
        event = json.loads(self.daemon.raw(request).split(b"\r\n\r\n", 1)[1])
        self.assertEqual(event["body"], "abcdefg")

    def test_a_large_body(self):
        text = "y" * (3 << 20)
        event = self.event("POST", body=text.encode(), headers={"Content-Type": "text/plain"})
        self.assertTrue(event["body"] == text)

    def test_a_binary_reply(self):
        reply = self.daemon.request("GET", "/fn/web/binary")
        self.assertEqual((reply.status, reply.headers["content-type"], reply.body), (201, "image/x-test", bytes(range(256))))

    def test_replies_without_a_status_code(self):
        for path, body in (("/text", "hello"), ("/list", '["hello",3,true]'), ("/number", "3.1"), ("/object", '{"a":1}')):
            with self.subTest(path=path):
                reply = self.daemon.request("GET", "/fn/web" + path)
                self.assertEqual((reply.status, reply.headers["content-type"]), (200, "application/json"))
                self.assertEqual(reply.text if path == "/text" else json.loads(reply.text), body if path == "/text" else json.loads(body))

    def test_replies_without_a_body(self):
        self.assertEqual(self.daemon.request("GET", "/fn/web/empty").status, 204)
        reply = self.daemon.request("GET", "/fn/web/redirect")
        self.assertEqual((reply.status, reply.headers["location"], reply.body), (302, "/elsewhere", b""))

    def test_cookies_are_kept_to_the_functions_path(self):
        cookies = self.daemon.request("GET", "/fn/web/cookies").all("set-cookie")
        self.assertEqual(len(cookies), 3, cookies)
        for cookie in cookies:
            self.assertRegex(cookie.lower(), r"; ?path=/fn/web($|;|/)", cookies)
            self.assertEqual(cookie.lower().count("path="), 1, cookies)
        self.assertIn("httponly", cookies[2].lower())

    def test_a_function_is_an_origin_of_its_own(self):
        headers = {"Host": f"web.localhost:{self.daemon.port}"}
        self.assertEqual(self.daemon.request("GET", "/text", headers=headers).text, "hello")
        self.assertEqual(self.daemon.request("GET", "/not/there", headers=headers).text, "/not/there")
        cookies = self.daemon.request("GET", "/cookies", headers=headers).all("set-cookie")
        self.assertEqual(cookies[:2], ["a=1", "b=2; Path=/"], "under its own origin a function's cookies stay as they are")
        event = self.daemon.request("GET", "/event", headers=headers).json()
        self.assertEqual(event["requestContext"]["domainName"].split(":")[0], "web.localhost")
        self.assertEqual(event["rawPath"], "/event")

    def test_a_functions_origin_has_no_management(self):
        headers = {"Host": f"web.localhost:{self.daemon.port}"}
        reply = self.daemon.request("GET", "/2015-03-31/functions", headers=headers)
        self.assertEqual((reply.status, reply.text), (404, "/2015-03-31/functions"), "the function answers here, not the API")

    def test_function_errors_tell_nothing(self):
        for path, status in (("/raise", 502), ("/crash", 502), ("/hang", 504)):
            with self.subTest(path=path):
                reply = self.daemon.request("GET", "/fn/web" + path)
                self.assertEqual(reply.status, status, reply)
                self.assertNotIn("secret detail", reply.text)
        self.assertEqual(self.daemon.request("GET", "/fn/web/text").text, "hello")

    def test_bad_replies_are_502(self):
        for path in ("/bad_status", "/bad_base64"):
            with self.subTest(path=path):
                self.assertEqual(self.daemon.request("GET", "/fn/web" + path).status, 502)

    def test_headers_of_a_reply_can_not_break_the_framing(self):
        raw = self.daemon.raw(b"GET /fn/web/bad_headers HTTP/1.1\r\nHost: localhost\r\n\r\n"
                              b"GET /fn/web/text HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        self.assertNotIn(b"\r\nx-injected:", raw.lower())
        self.assertEqual(raw.count(b"HTTP/1.1 "), 2, raw)
        self.assertTrue(raw.endswith(b"hello"), raw)

    def test_unknown_functions(self):
        reply = self.daemon.request("GET", "/fn/absent/x")
        self.assertEqual(reply.status, 404, reply)
        reply = self.daemon.request("GET", "/", headers={"Host": f"absent.localhost:{self.daemon.port}"})
        self.assertEqual(reply.status, 404, reply)


if __name__ == "__main__":
    unittest.main()
