"""The Invoke API: replies, function errors, platform refusals, log tail."""
import base64
import json
import re
import time
import unittest

from harness import INVOKE, DaemonTest

UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")

BAD_PY = """
import os, sys, time
def handler(event, context):
    kind = event.get("kind")
    if kind == "raise":
        raise ValueError("no luck")
    if kind == "exit":
        os._exit(7)
    if kind == "sys_exit":
        sys.exit(3)
    if kind == "segfault":
        import ctypes
        ctypes.string_at(0)
    if kind == "hang":
        time.sleep(60)
    if kind == "memory":
        hoard = bytearray(10_000_000_000)
    if kind == "many_pieces":
        hoard = []
        while True:
            hoard.append(bytearray(1 << 20))
    if kind == "not_json":
        return {1, 2}
    if kind == "close":
        os.close(3)
        time.sleep(60)
    if kind == "garbage":
        os.write(3, b"\\xff" * 64)
        time.sleep(60)
    if kind == "huge":
        return "x" * (7 << 20)
    return {"got": event}
"""

BAD_JS = """
exports.handler = async (event) => {
  if (event.kind === 'raise') throw new TypeError('no luck');
  if (event.kind === 'exit') process.exit(7);
  if (event.kind === 'hang') await new Promise(() => setTimeout(() => {}, 60000));
  if (event.kind === 'spin') for (;;) {}
  if (event.kind === 'memory') { const all = []; for (;;) all.push(new Array(1e5).fill(Math.random())); }
  if (event.kind === 'later') { setTimeout(() => { throw new Error('behind your back'); }, 0); await new Promise(() => setTimeout(() => {}, 60000)); }
  if (event.kind === 'circular') { const a = {}; a.a = a; return a; }
  return { got: event };
};
"""


class Invoke(DaemonTest):
    @classmethod
    def deploy_functions(cls):
        cls.daemon.python("echo", "def handler(event, context):\n    print('log of', event)\n    return event\n")
        cls.daemon.python("bad", BAD_PY, "timeout: 1s\n")
        cls.daemon.node("bad_js", BAD_JS, "timeout: 1s\nmemory: 128MB\n")

    def test_reply_headers(self):
        reply = self.daemon.invoke("echo", {"a": [1, 2.5, None, "ü"]})
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.json(), {"a": [1, 2.5, None, "ü"]})
        self.assertEqual(reply.headers["x-amz-executed-version"], "$LATEST")
        self.assertRegex(reply.headers["x-amzn-requestid"], UUID)
        self.assertNotIn("x-amz-function-error", reply.headers)
        self.assertNotIn("x-amz-log-result", reply.headers)

    def test_events_of_every_json_kind(self):
        for event in ({}, [], "text", 0, -1.5, True, None, {"nested": {"deep": [[[]]]}}):
            with self.subTest(event=event):
                reply = self.daemon.request("POST", INVOKE.format("echo"), body=json.dumps(event))
                self.assertEqual((reply.status, reply.json()), (200, event))

    def test_an_empty_body_is_an_empty_event(self):
        reply = self.daemon.request("POST", INVOKE.format("echo"))
        self.assertEqual(reply.status, 200, reply)
        self.assertIn(reply.json(), ({}, None))

    def test_a_body_that_is_no_json_is_refused_or_fails_alone(self):
        reply = self.daemon.request("POST", INVOKE.format("echo"), body="{not json")
        if reply.status == 200:
            self.assertEqual(reply.headers.get("x-amz-function-error"), "Unhandled", reply)
        else:
            self.assert_refused(reply, 400, "InvalidRequestContentException")
        self.assertEqual(self.daemon.invoke("echo", 1).json(), 1)

    def test_payloads_up_to_six_mebibytes_arrive_whole(self):
        for size in (65535, 65536, 131072, 1 << 20, 6 * (1 << 20) - 2):
            with self.subTest(size=size):
                text = "ab" * (size // 2) + "c" * (size % 2)
                reply = self.daemon.invoke("echo", text)
                self.assertEqual(reply.status, 200, reply.headers)
                self.assertTrue(reply.json() == text)

    def test_a_larger_payload_is_refused(self):
        reply = self.daemon.invoke("echo", "x" * (6 * (1 << 20) + 10))
        self.assert_refused(reply, 413, "RequestTooLargeException")

    def test_log_tail(self):
        reply = self.daemon.invoke("echo", {"n": 42}, {"X-Amz-Log-Type": "Tail"})
        tail = base64.b64decode(reply.headers["x-amz-log-result"]).decode()
        request_id = reply.headers["x-amzn-requestid"]
        self.assertIn(f"START RequestId: {request_id} Version: $LATEST", tail)
        self.assertIn("log of {'n': 42}", tail)
        self.assertIn(f"END RequestId: {request_id}", tail)
        self.assertRegex(tail, rf"REPORT RequestId: {request_id}\s+Duration: [\d.]+ ms\s+Billed Duration: \d+ ms\s+"
                               r"Memory Size: 128 MB\s+Max Memory Used: \d+ MB")
        self.assertLessEqual(len(tail), 4096)

    def test_dry_run_answers_204_and_runs_nothing(self):
        reply = self.daemon.invoke("bad", {"kind": "exit"}, {"X-Amz-Invocation-Type": "DryRun"})
        self.assertEqual((reply.status, reply.body), (204, b""))
        reply = self.daemon.invoke("absent", {}, {"X-Amz-Invocation-Type": "DryRun"})
        self.assert_refused(reply, 404, "ResourceNotFoundException")

    def test_asynchronous_calls_are_said_to_be_unsupported(self):
        self.assert_refused(self.daemon.invoke("echo", {}, {"X-Amz-Invocation-Type": "Event"}), 501)
        self.assert_refused(self.daemon.invoke("echo", {}, {"X-Amz-Invocation-Type": "Sometimes"}), 400)

    def test_unknown_function(self):
        reply = self.daemon.invoke("absent", {})
        self.assert_refused(reply, 404, "ResourceNotFoundException")
        body = reply.json()
        self.assertEqual(body.get("Type"), "User", body)
        self.assertIn("absent", body["Message"])

    def test_a_name_as_arn_and_with_the_version(self):
        for name in ("echo:%24LATEST", "echo?Qualifier=%24LATEST", "arn:aws:lambda:us-east-1:000000000000:function:echo",
                     "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Aecho"):
            path = INVOKE.format(name) if "?" not in name else INVOKE.format("echo") + name[4:]
            with self.subTest(path=path):
                self.assertEqual(self.daemon.request("POST", path, body="5").json(), 5)
        self.assert_refused(self.daemon.request("POST", INVOKE.format("echo") + "?Qualifier=77", body="5"), 404)

    def test_client_context_reaches_the_handler(self):
        self.daemon.python("context", "def handler(event, context):\n    return context.client_context.custom\n")
        value = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
        reply = self.daemon.invoke("context", {}, {"X-Amz-Client-Context": value})
        self.assertEqual(reply.json(), {"k": "v"}, reply)
        self.daemon.cli("delete", "context", check=0)

    def test_an_exception_has_lambdas_shape(self):
        reply = self.daemon.invoke("bad", {"kind": "raise"})
        self.assert_function_error(reply, "ValueError", "no luck")
        self.assertTrue(any("app.py" in line for line in reply.json()["stackTrace"]), reply)
        reply = self.daemon.invoke("bad_js", {"kind": "raise"})
        self.assert_function_error(reply, "TypeError", "no luck")
        self.assertTrue(any("index.cjs" in line for line in reply.json().get("stackTrace") or reply.json().get("trace")), reply)

    def test_a_timeout_names_the_time(self):
        for name, kind in (("bad", "hang"), ("bad_js", "hang"), ("bad_js", "spin")):
            with self.subTest(name=name, kind=kind):
                began = time.monotonic()
                reply = self.daemon.invoke(name, {"kind": kind})
                self.assert_function_error(reply, "Sandbox.Timedout", "Task timed out after 1.00 seconds")
                self.assertTrue(reply.json()["errorMessage"].startswith("RequestId: " + reply.headers["x-amzn-requestid"]), reply)
                self.assertGreater(time.monotonic() - began, 0.95)
                self.assertEqual(self.daemon.invoke(name, {"ok": 1}, timeout=20).json(), {"got": {"ok": 1}})

    def test_a_dead_worker_is_told_at_once_with_its_cause(self):
        for name, kind, cause in (("bad", "exit", "7"), ("bad", "segfault", "SIGSEGV|signal|11|segmentation"), ("bad", "close", ""),
                                  ("bad_js", "exit", "7")):
            with self.subTest(name=name, kind=kind):
                reply = self.daemon.invoke(name, {"kind": kind})
                self.assertEqual((reply.status, reply.headers.get("x-amz-function-error")), (200, "Unhandled"), reply)
                self.assertRegex(reply.json()["errorType"], r"^Runtime\.|^Sandbox\.|^Function\.")
                self.assertRegex(reply.json()["errorMessage"], f"(?i){cause}")
                self.assertEqual(self.daemon.invoke(name, {"ok": 1}).json(), {"got": {"ok": 1}})

    def test_running_out_of_memory_is_named(self):
        for name, kind in (("bad", "memory"), ("bad", "many_pieces"), ("bad_js", "memory")):
            with self.subTest(name=name, kind=kind):
                reply = self.daemon.invoke(name, {"kind": kind})
                self.assertEqual((reply.status, reply.headers.get("x-amz-function-error")), (200, "Unhandled"), reply)
                self.assertRegex(reply.text, "(?i)memory")
                self.assertEqual(self.daemon.invoke(name, {"ok": 1}).json(), {"got": {"ok": 1}})

    def test_forged_frames_end_the_worker_and_nothing_else(self):
        reply = self.daemon.invoke("bad", {"kind": "garbage"})
        self.assertEqual((reply.status, reply.headers.get("x-amz-function-error")), (200, "Unhandled"), reply)
        self.assertRegex(reply.text, "(?i)protocol")
        self.assertEqual(self.daemon.invoke("echo", 1).json(), 1)

    def test_a_reply_that_is_no_json(self):
        reply = self.daemon.invoke("bad", {"kind": "not_json"})
        self.assert_function_error(reply, "Runtime.MarshalError", "set")
        reply = self.daemon.invoke("bad_js", {"kind": "circular"})
        self.assertEqual(reply.headers.get("x-amz-function-error"), "Unhandled", reply)

    def test_a_reply_that_is_too_large(self):
        reply = self.daemon.invoke("bad", {"kind": "huge"})
        self.assertEqual((reply.status, reply.headers.get("x-amz-function-error")), (200, "Unhandled"), reply)
        self.assertRegex(reply.text, "(?i)too ?large")
        self.assertEqual(self.daemon.invoke("bad", {"ok": 1}).json(), {"got": {"ok": 1}})

    def test_sys_exit_is_a_function_error(self):
        reply = self.daemon.invoke("bad", {"kind": "sys_exit"})
        self.assertEqual((reply.status, reply.headers.get("x-amz-function-error")), (200, "Unhandled"), reply)

    def test_an_error_behind_the_handlers_back_ends_the_call(self):
        reply = self.daemon.invoke("bad_js", {"kind": "later"})
        self.assertEqual(reply.headers.get("x-amz-function-error"), "Unhandled", reply)
        self.assertEqual(self.daemon.invoke("bad_js", {"ok": 1}).json(), {"got": {"ok": 1}})

    def test_a_function_that_does_not_load(self):
        self.daemon.python("broken", "import no_such_module\ndef handler(event, context):\n    return 1\n")
        self.daemon.python("no_handler", "def other(event, context):\n    return 1\n")
        self.daemon.python("syntax", "def handler(event, context)\n    return 1\n")
        for name, error_type in (("broken", "Runtime.ImportModuleError"), ("no_handler", "Runtime.HandlerNotFound"),
                                 ("syntax", "Runtime.UserCodeSyntaxError")):
            with self.subTest(name=name):
                self.assert_function_error(self.daemon.invoke(name, {}), error_type)

    def test_the_log_of_a_failed_call_has_the_cause(self):
        reply = self.daemon.invoke("bad", {"kind": "raise"}, {"X-Amz-Log-Type": "Tail"})
        self.assertIn("no luck", base64.b64decode(reply.headers["x-amz-log-result"]).decode())


class InvokeInUserMode(Invoke):
    """The same as a daemon of a plain user, whose sandbox stands on user namespaces."""

    user = True
    sandbox = "user"


if __name__ == "__main__":
    unittest.main()
