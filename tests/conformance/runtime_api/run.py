#!/usr/bin/python3
"""Stock clients of the Lambda Runtime API against the engine: each built from its registry, deployed as runtime provided.al2023, and called.

    run.py [--client NAME]... [--bin HEARTH]        NAME: python node go rust cpp java (default: those of HEARTH_TEST_SCALE)

At scale 1 all clients run; below it those that build in seconds. A client whose tools or registry can't be had is SKIPPED with the reason.
The last line is "N passed, N failed, N skipped", a case each.
"""
import argparse
import concurrent.futures
import http.client
import json
import os
import pathlib
import shutil
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "integration"))

PARSER = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
PARSER.add_argument("--client", action="append")
PARSER.add_argument("--bin")
ARGUMENTS = PARSER.parse_args()
if ARGUMENTS.bin:
    os.environ["HEARTH_BIN"] = str(pathlib.Path(ARGUMENTS.bin).resolve())

import builders  # noqa: E402
from harness import PATIENCE, SCALE, Daemon, scaled  # noqa: E402

# What a client has, beside what all have.
HANDLERS = {"python": "app.handler", "node": "index.handler", "java": "hearth.App::handleRequest"}
STREAMS = {"node": "index.stream", "go": "stream", "rust": "stream"}
PANICS = ("go", "rust")
CONCURRENT = ("python", "go", "rust", "java")
INIT_ERRORS = {"python": "the init was told to fail", "node": "the init was told to fail", "java": "Error loading class hearth.App"}  # the others just end
QUICK = ("python", "go", "cpp")
MEMORY = "memory: 512MB\ntimeout: 20s\n"


class Client:
    """One client's functions on the daemon."""

    def __init__(self, daemon, name, folder):
        self.daemon, self.name, self.folder = daemon, name, folder

    def deploy(self, function, manifest="", handler=None):
        handler = handler or HANDLERS.get(self.name, "bootstrap")
        text = f"name: {function}\nruntime: provided.al2023\nhandler: '{handler}'\n{MEMORY}{manifest}"
        folder = self.daemon.work / "functions" / function
        shutil.copytree(self.folder, folder)
        (folder / "function.yaml").write_text(text)
        self.daemon.cli("deploy", folder, check=0, timeout=120)
        shutil.rmtree(folder)
        return function

    def call(self, function, headers=None, **event):
        return self.daemon.invoke(function, event, headers=headers, timeout=60)


def check(condition, what):
    if not condition:
        raise AssertionError(what)


def check_error(reply, message, error_type=None):
    body = reply.json()
    check(reply.status == 200 and reply.headers.get("x-amz-function-error") == "Unhandled", f"no function error: {reply}")
    check(message in body.get("errorMessage", ""), f"'{message}' is not in {body}")
    check(error_type is None or error_type in body.get("errorType", ""), f"the type is not {error_type}: {body}")


def case_echo(client):
    name = client.deploy(f"{client.name}_echo")
    events = [{"do": "echo", "text": "grüße \u2028 \"quoted\" \\ \U0001f525"}, {"do": "echo", "deep": [[{"a": [None, True, 1.5, -7, {}]}]]}, {"do": "echo", "": ""}]
    for event in events:
        reply = client.call(name, **event)
        check(reply.status == 200 and reply.json()["event"] == event, f"{event} came back as {reply}")
    pids = {client.call(name, do="echo").json()["pid"] for _ in range(scaled(1_000, 50))}
    check(len(pids) == 1, f"calls one after the other ran in {len(pids)} processes")


def case_context(client):
    name = client.deploy(f"{client.name}_context")
    import base64  # pylint: disable=import-outside-toplevel
    context = base64.b64encode(json.dumps({"custom": {"color": "blue"}}).encode()).decode()
    reply = client.call(name, headers={"X-Amz-Client-Context": context, "X-Amzn-Trace-Id": "Root=1-5e1b4151-5ac6c58f4f6d5d4e4b1d4e4b;Sampled=1"}, do="echo")
    got = reply.json()
    check(got["request_id"] == reply.headers["x-amzn-requestid"], f"request id: {reply}")
    check(got["arn"].endswith(f":function:{name}") and got["name"] == name, f"arn and name: {got}")
    check(10_000 < got["left_ms"] <= 20_500, f"time left: {got['left_ms']} ms of 20 s")
    check(got["handler"] == HANDLERS.get(client.name, "bootstrap"), f"handler: {got}")
    check(got["trace"].startswith("Root=1-5e1b4151-"), f"trace id: {got}")
    if client.name != "cpp":  # which hands on no client context
        check(got["client"] == {"color": "blue"}, f"client context: {got}")
    log = client.daemon.cli("logs", name, check=0).stdout
    check(f"a line of {got['request_id']}" in log, f"the function's line is not in its log: {log[-500:]}")


def case_error(client):
    name = client.deploy(f"{client.name}_error")
    for _ in range(3):
        check_error(client.call(name, do="error"), "an error with \"quotes\"" if client.name == "cpp" else "an error with ü")
    check(client.call(name, do="echo").status == 200, "no call after an error")


def case_panic(client):
    if client.name not in PANICS:
        return "this language has no panics"
    name = client.deploy(f"{client.name}_panic")
    check_error(client.call(name, do="panic"), "panic" if client.name == "rust" else "index out of range")
    check("x-amz-function-error" not in client.call(name, do="echo").headers, "no call after a panic")
    return None


def case_exit(client):
    name = client.deploy(f"{client.name}_exit")
    check(client.call(name, do="echo").status == 200, "no first call")
    check_error(client.call(name, do="exit"), "")
    check("x-amz-function-error" not in client.call(name, do="echo").headers, "no call after an exit")


def case_large(client):
    name = client.deploy(f"{client.name}_large")
    text = "y" * (5 << 20)
    reply = client.call(name, do="echo", text=text)
    check(reply.status == 200 and reply.json()["event"]["text"] == text, f"5 MiB did not come back: {reply.status} {reply.body[:200]}")
    reply = client.call(name, do="large", bytes=6 << 20 | 0x1000)
    check("x-amz-function-error" in reply.headers, f"more than limits.reply was let through: {reply.status} {reply.headers}")
    check("limits.reply" in reply.text or "payload" in reply.text, f"the error names no limit: {reply.text[:300]}")
    check(client.call(name, do="echo").json()["event"] == {"do": "echo"}, "no call after a reply that was too large")


def case_init_error(client):
    name = client.deploy(f"{client.name}_init_error", "environment: {FAIL_INIT: '1'}\n")
    reply = client.call(name, do="echo")
    check_error(reply, INIT_ERRORS.get(client.name, ""))
    log = client.daemon.cli("logs", name, check=0).stdout
    check("the init was told to fail" in log, f"the cause is not in the log: {log[-500:]}")


def case_concurrency(client):
    if client.name not in CONCURRENT:
        return "this client executes one call at a time"
    name = client.deploy(f"{client.name}_concurrency", "concurrency: {per_worker: 4, workers_max: 1}\n")
    client.call(name, do="echo")
    rounds = scaled(20, 2)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for _ in range(rounds):
            began = time.monotonic()
            replies = list(pool.map(lambda i: client.call(name, do="sleep", ms=500, i=i), range(4)))
            took = time.monotonic() - began
            check(all(reply.status == 200 for reply in replies), f"{replies}")
            check([reply.json()["event"]["i"] for reply in replies] == [0, 1, 2, 3], "replies were mixed up")
            check(took < 1.5 * PATIENCE, f"four calls of 0.5 s took {took:.2f} s: they were not executed at once")
    check(len(client.daemon.worker_pids()) >= 1, "no worker")
    return None


def url_get(client, function, query):
    """(status, headers, [(seconds, part)], whether it was cut off) of a GET of a function URL."""
    connection = http.client.HTTPConnection("127.0.0.1", client.daemon.port, timeout=30)
    began = time.monotonic()
    connection.request("GET", f"/fn/{function}/?{query}")
    response = connection.getresponse()
    parts, cut = [], False
    try:
        while part := response.read1(65_536):
            parts.append((time.monotonic() - began, part))
    except (http.client.IncompleteRead, ConnectionError):
        cut = True
    connection.close()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, parts, cut


def case_stream(client):
    if client.name not in STREAMS:
        return "this client streams no replies, or not by itself"
    name = client.deploy(f"{client.name}_stream", handler=STREAMS[client.name])
    url_get(client, name, "parts=1")
    status, headers, parts, cut = url_get(client, name, "parts=4&ms=200")
    whole = b"".join(part for _, part in parts)
    check(status == 201 and headers.get("x-mine") == "yes" and headers.get("content-type") == "text/plain", f"{status} {headers}")
    check(whole == b"part 0\npart 1\npart 2\npart 3\n" and not cut, f"{whole} cut={cut}")
    check(parts[-1][0] - parts[0][0] > 0.3, f"the parts came together: {parts}")
    _, _, parts, cut = url_get(client, name, "parts=2&ms=50&fail=1")
    if client.name == "rust":  # it sends what should be trailers as the body's last bytes, and a good end behind them
        check(b"Lambda-Runtime-Function-Error-Type: Runtime.StreamError" in parts[-1][1], f"{parts}")
    else:
        check(cut, f"a stream that failed came to a good end: {parts}")
    check(url_get(client, name, "parts=1")[0] == 201, "no call after a stream that failed")
    return None


CASES = {function.__name__[5:]: function for function in (case_echo, case_context, case_error, case_panic, case_exit, case_large, case_init_error,
                                                          case_concurrency, case_stream)}
COUNTS = {"passed": 0, "failed": 0, "skipped": 0}


def tell(kind, what, text=""):
    COUNTS[kind] += 1
    print(f"    {kind}  runtime_api {what}{': ' + text if text else ''}", flush=True)


def run_client(daemon, name, folder):
    for title, case in CASES.items():
        began = time.monotonic()
        try:
            if not case(Client(daemon, name, folder)):  # else it says why it is no case for this client
                tell("passed", f"{name} {title} ({time.monotonic() - began:.1f} s)")
        except Exception as error:  # pylint: disable=broad-except
            text = str(error)[:3000] if isinstance(error, AssertionError) else traceback.format_exc()[-2000:]
            tell("failed", f"{name} {title}", f"{text}\n{daemon.cli('logs', f'{name}_{title}').stdout[-2000:]}")


def main():
    names = ARGUMENTS.client or (list(builders.BUILDERS) if SCALE >= 1 else QUICK)
    folders = {}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        jobs = {name: pool.submit(builders.built, name) for name in names}
        for name, job in jobs.items():
            began = time.monotonic()
            try:
                folders[name] = job.result()
                print(f"{name} is built ({time.monotonic() - began:.0f} s)", flush=True)
            except builders.NotHere as reason:
                tell("skipped", name, str(reason))
            except Exception:  # pylint: disable=broad-except
                tell("failed", f"{name} (build)", traceback.format_exc()[-3000:])
    daemon = Daemon()
    try:
        daemon.start()
        for name, folder in folders.items():
            run_client(daemon, name, folder)
        daemon.stop()
    except AssertionError as error:
        tell("failed", "daemon", str(error)[-3000:])
    finally:
        daemon.end()
    print(", ".join(f"{COUNTS[kind]} {kind}" for kind in ("passed", "failed", "skipped")))
    return 1 if COUNTS["failed"] or not COUNTS["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
