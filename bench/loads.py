"""The two load generators: wrk for rates and times, build/tools/hearth_load for a fixed number of calls."""
import json
import os
import pathlib
import re
import subprocess

from servers import BODY

ROOT = pathlib.Path(__file__).resolve().parents[1]
LUA = ROOT / "bench/post.lua"
LOAD = ROOT / "build/tools/hearth_load"
EXPECTED = "Hello world"


class Target:
    """A URL that is measured: a server and a path."""

    def __init__(self, name, server, path):
        self.name, self.server, self.path = name, server, path

    def wrk(self, core, connections, seconds, check=False):
        """One run of wrk: {"requests", "seconds", "p50_us", "p99_us", ..., "rps"}. check: also looks at every reply (slower)."""
        environment = {key: value for key, value in os.environ.items() if key != "HEARTH_BENCH_CHECK"}
        if check:
            environment["HEARTH_BENCH_CHECK"] = "1"
        done = subprocess.run(["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(LUA),
                               f"http://127.0.0.1:{self.server.port}{self.path}", "--", EXPECTED],
                              capture_output=True, text=True, env=environment, check=False)
        found = re.search(r"^JSON (.*)$", done.stdout, re.MULTILINE)
        if not found:
            raise SystemExit(f"bench: wrk failed on {self.name}: {done.stdout}{done.stderr}")
        figures = json.loads(found.group(1))
        bad = figures["status_errors"] + figures["socket_errors"] + figures["wrong"] + figures["failed"]
        if bad or not figures["requests"]:
            raise SystemExit(f"bench: {self.name}: {bad} of {figures['requests']} calls went wrong: {figures}")
        figures["rps"] = figures["requests"] / figures["seconds"]
        return figures

    def fixed(self, core, connections, calls, prefix=()):
        """Exactly `calls` calls, every reply checked. prefix: a program that runs the load client, such as perf."""
        done = subprocess.run([*prefix, "taskset", "-c", str(core), str(LOAD), "--port", str(self.server.port), "--connections", str(connections),
                               "--calls", str(calls), "--call", "hello", "1", self.path, BODY, EXPECTED],
                              capture_output=True, text=True, check=False)
        found = re.search(r"^\{.*\}$", done.stdout, re.MULTILINE)
        if not found:
            raise SystemExit(f"bench: the load client failed on {self.name}: {done.stdout}{done.stderr}")
        result = json.loads(found.group(0))["calls"]["hello"]
        if result["status"] != {"200": calls} or result["wrong_body"] or result["function_errors"]:
            raise SystemExit(f"bench: {self.name}: not every call was answered: {result}")
        return result, done.stderr
