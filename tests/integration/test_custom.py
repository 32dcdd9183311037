"""Custom runtimes: a bootstrap that speaks the Lambda Runtime API by hand, so that it can also speak it wrongly."""
import json
import time
import unittest

from harness import PATIENCE, DaemonTest, wait_until

# A client in few lines; BODY has the function `handle(event)` and may use the client's parts.
CLIENT = '''#!/usr/bin/python3 -u
import http.client, json, os, signal, sys, time
api = os.environ["AWS_LAMBDA_RUNTIME_API"]
connection = http.client.HTTPConnection(api)
base = "/2018-06-01/runtime/"
def ask(method, path, body=None, headers={}):
    connection.request(method, base + path, body=body, headers=headers)
    reply = connection.getresponse()
    return reply.status, dict(reply.getheaders()), reply.read()
def next_call():
    _, headers, body = ask("GET", "invocation/next")
    return headers["Lambda-Runtime-Aws-Request-Id"], json.loads(body)
def answer(request_id, value):
    return ask("POST", "invocation/%s/response" % request_id, json.dumps(value))
BODY
while True:
    request_id, event = next_call()
    answer(request_id, handle(event))
'''

PLAIN = '''
calls = 0
def handle(event):
    global calls
    calls += 1
    if event.get("do") == "env":
        return dict(os.environ)
    if event.get("do") == "where":
        return [os.getcwd(), os.getpid(), sorted(os.listdir("/proc/self/fd"))]
    return {"calls": calls, "event": event}
'''

LINGERS = '''
def handle(event):
    return event
while True:
    request_id, event = next_call()
    answer(request_id, {"answered": True})
    print("still busy", flush=True)
    time.sleep(event.get("linger", 0))
'''

WRONG = '''
def handle(event):
    do = event.get("do")
    if do == "flood":
        for _ in range(5000):
            ask("GET", "nowhere")
    if do == "second":
        status, _, body = answer(request_id, 1)
        return [status]
    if do == "late":
        return [ask("POST", "invocation/%s/response" % event["id"], "0")[0]]
    if do == "init":
        return [ask("POST", "init/error", "{}")[0]]
    if do == "hang":
        time.sleep(60)
    if do == "not json":
        ask("POST", "invocation/%s/response" % request_id, "no json")
    if do == "raw":
        import socket
        s = socket.create_connection(("127.0.0.1", 9001))
        s.sendall(b"\\x00\\xff garbage\\r\\n\\r\\n")
        return s.recv(1000).decode("latin-1")
    if do == "many":
        import socket
        kept, refused = [], 0
        for _ in range(40):
            s = socket.create_connection(("127.0.0.1", 9001))
            s.settimeout(0.2)
            try:
                refused += s.recv(1) == b""
            except (TimeoutError, ConnectionError):
                kept.append(s)
        return [len(kept), refused]
    return os.getpid()
'''

TERM = '''
def stop(*_):
    print("good bye", flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
def handle(event):
    return os.getpid()
'''


def client(body):
    return CLIENT.replace("BODY", body)


class CustomTest(DaemonTest):
    @classmethod
    def custom(cls, name, body, manifest="", daemon=None):
        daemon = daemon or cls.daemon
        folder = daemon.folder(name, {"bootstrap": client(body)}, f"runtime: provided.al2023\nhandler: the.handler\n{manifest}")
        (folder / "bootstrap").chmod(0o755)
        return daemon.cli("deploy", folder, check=0)


class Custom(CustomTest):
    @classmethod
    def deploy_functions(cls):
        cls.custom("plain", PLAIN, "environment: {MINE: yes}\n")
        cls.custom("wrong", WRONG, "timeout: 5s\n")

    def test_calls_one_after_the_other_run_in_one_worker(self):
        first = self.daemon.invoke("plain", {"a": "ü"}).json()
        self.assertEqual(first["event"], {"a": "ü"})
        self.assertEqual(self.daemon.invoke("plain").json()["calls"], first["calls"] + 1)

    def test_the_environment_is_lambdas(self):
        env = self.daemon.invoke("plain", {"do": "env"}).json()
        self.assertEqual({name: env.get(name) for name in ("AWS_LAMBDA_RUNTIME_API", "_HANDLER", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "MINE",
                                                           "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_INITIALIZATION_TYPE")},
                         {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "_HANDLER": "the.handler", "LAMBDA_TASK_ROOT": "/var/task",
                          "LAMBDA_RUNTIME_DIR": "/var/runtime", "MINE": "yes", "AWS_LAMBDA_FUNCTION_NAME": "plain",
                          "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand"})
        self.assertNotIn("AWS_LAMBDA_MAX_CONCURRENCY", env)
        self.assertNotIn("HEARTH_TEST_SECRET", env)

    def test_it_starts_in_its_folder_and_inherits_nothing(self):
        cwd, pid, fds = self.daemon.invoke("plain", {"do": "where"}).json()
        self.assertEqual(cwd, "/var/task")
        self.assertEqual(pid, 2)
        self.assertLessEqual(set(fds), {"0", "1", "2", "3", "4"})  # 3 is its connection, 4 the listing itself

    def test_a_function_url_has_the_v2_shape(self):
        reply = self.daemon.request("POST", "/fn/plain/some/path?x=1", body=b"body")
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.json()["event"]["rawPath"], "/some/path")

    def test_the_list_shows_the_name_that_was_deployed(self):
        self.assertIn("provided.al2023", self.daemon.cli("list", check=0).stdout)

    def test_what_makes_no_sense_is_refused_and_harms_nobody(self):
        self.assertEqual(self.daemon.invoke("wrong", {"do": "init"}).json(), [403])
        self.assertEqual(self.daemon.invoke("wrong", {"do": "late", "id": "8f1f"}).json(), [400])
        self.assertEqual(self.daemon.invoke("wrong", {"do": "second"}).json(), 1)
        self.assertTrue(self.daemon.invoke("wrong", {"do": "raw"}).json().startswith("HTTP/1.1 400 "))
        kept, refused = self.daemon.invoke("wrong", {"do": "many"}, timeout=60).json()
        self.assertEqual(kept, 8)  # beside its own: per_worker and 8
        self.assertEqual(refused, 32)
        self.assertEqual(self.daemon.invoke("plain").status, 200)

    def test_what_is_refused_is_counted(self):
        before = self.daemon.metrics()
        self.daemon.invoke("wrong", {"do": "late", "id": "8f1f"})
        self.daemon.invoke("wrong", {"do": "many"}, timeout=60)
        after = self.daemon.metrics()
        self.assertGreaterEqual(after["hearth_runtime_api_requests_total"] - before["hearth_runtime_api_requests_total"], 4)
        self.assertGreaterEqual(after["hearth_runtime_api_refused_total"] - before["hearth_runtime_api_refused_total"], 1)
        self.assertGreaterEqual(after["hearth_runtime_api_refused_connections_total"] - before["hearth_runtime_api_refused_connections_total"], 32)

    def test_a_reply_that_is_no_json_is_told(self):
        reply = self.daemon.invoke("wrong", {"do": "not json"})
        self.assertEqual((reply.status, reply.body), (200, b"no json"))  # as Lambda has it; what a body means is its caller's

    def test_nonsense_without_end_gives_the_worker_up(self):
        reply = self.daemon.invoke("wrong", {"do": "flood"})
        self.assert_function_error(reply, "Runtime.ProtocolViolation", "1000 requests")
        self.assertEqual(self.daemon.invoke("wrong").status, 200)

    def test_a_timeout_ends_the_worker(self):
        self.custom("slow", WRONG, "timeout: 500ms\n")
        self.assertEqual(self.daemon.invoke("slow").status, 200)
        began = time.monotonic()
        self.assert_function_error(self.daemon.invoke("slow", {"do": "hang"}), "Sandbox.Timedout")
        self.assertLess(time.monotonic() - began, 5 * PATIENCE)
        self.assertNotIn("x-amz-function-error", self.daemon.invoke("slow").headers)

    def test_a_worker_that_is_not_done_gets_no_call(self):
        self.custom("lingers", LINGERS, "timeout: 5s\nconcurrency: {workers_max: 1}\n")
        self.daemon.invoke("lingers")
        began = time.monotonic()
        self.assertEqual(self.daemon.invoke("lingers", {"linger": 0.6}).json(), {"answered": True})
        answered = time.monotonic() - began
        self.assertEqual(self.daemon.invoke("lingers").json(), {"answered": True})
        self.assertLess(answered, 0.5 * PATIENCE)
        self.assertGreater(time.monotonic() - began, 0.6)

    def test_one_that_is_never_done_goes_at_the_deadline_of_its_call(self):
        self.custom("stuck", LINGERS, "timeout: 700ms\nconcurrency: {workers_max: 1}\n")
        self.daemon.invoke("stuck")
        self.assertEqual(self.daemon.invoke("stuck", {"linger": 3600}).json(), {"answered": True})
        self.assertEqual(self.daemon.invoke("stuck").json(), {"answered": True})

    def test_sigterm_comes_before_the_end(self):
        self.custom("term", TERM)
        self.daemon.invoke("term")
        self.custom("term", TERM + "# another revision\n")
        self.daemon.invoke("term")
        wait_until(lambda: "good bye" in self.daemon.cli("logs", "term").stdout, "the words of the old worker")

    def test_missing_and_foreign_executables_are_refused_at_deploy(self):
        folder = self.daemon.folder("none", {"app.txt": "x"}, "runtime: provided.al2023\n")
        self.assertIn("bootstrap", self.daemon.cli("deploy", folder, check=2).stderr)
        elf = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00" + b"\xb7\x00" + bytes(60)
        for begin, words in ((elf, "arm64"), (b"#!/bin/sh\r\n", "Windows"), (b"just words", "neither a program"), (b"#!/usr/bin/no-ruby\n", "/usr/bin/no-ruby")):
            folder = self.daemon.folder("foreign", {"bootstrap": begin}, "runtime: custom\n")
            (folder / "bootstrap").chmod(0o755)
            done = self.daemon.cli("deploy", folder)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(words, done.stderr)

    def test_a_bootstrap_that_ends_says_how(self):
        self.custom("ends", "sys.stderr.write('no config\\n'); sys.exit(7)\n")
        reply = self.daemon.invoke("ends")
        self.assert_function_error(reply, "Runtime.InitError", "exit status 7")
        self.assertIn("no config", self.daemon.cli("logs", "ends", check=0).stdout)

    def test_a_function_may_have_a_time_of_its_own_for_its_init(self):
        self.custom("quick", "time.sleep(3600)\n", "init_timeout: 300ms\n")
        began = time.monotonic()
        reply = self.daemon.invoke("quick")
        self.assertIn("300 ms (its init_timeout)", reply.text)
        self.assertLess(time.monotonic() - began, 5 * PATIENCE)

    def test_one_that_never_asks_is_ended_by_the_time_for_its_init(self):
        daemon = self.own_daemon({"limits": {"init_timeout": "500ms"}})
        self.custom("never", "time.sleep(3600)\n", daemon=daemon)
        reply = daemon.invoke("never")
        self.assertIn("x-amz-function-error", reply.headers)
        self.assertIn("init", json.dumps(reply.json()).lower())


class CustomAsUser(Custom):
    user = True


class WithoutItsOwnNetwork(CustomTest):
    config = {"network": {"allow_host": True}}

    def test_the_hosts_network_is_refused(self):
        folder = self.daemon.folder("host", {"bootstrap": client(PLAIN)}, "runtime: custom\nnetwork: host\n")
        (folder / "bootstrap").chmod(0o755)
        self.assertIn("network: none or egress", self.daemon.cli("deploy", folder, check=3).stderr)

    def test_egress_keeps_the_api_on_its_loopback(self):
        self.custom("out", PLAIN, "network: {mode: egress, allow: ['10.0.0.0/8:80']}\n")
        self.assertEqual(self.daemon.invoke("out", {"a": 1}).json()["event"], {"a": 1})

    def test_a_degraded_engine_refuses(self):
        daemon = self.own_daemon({"sandbox": {"allow_degraded": True}}, sandbox="degraded")
        folder = daemon.folder("plain", {"bootstrap": client(PLAIN)}, "runtime: custom\n")
        (folder / "bootstrap").chmod(0o755)
        self.assertIn("network of its own", daemon.cli("deploy", folder).stderr)


if __name__ == "__main__":
    unittest.main()
