#!/usr/bin/python3
"""Measures Hearth beside the raw servers of each language and prints rows, ratios and bars. Started by bench/run, which builds everything.

Method: the server and its workers run on one core, the load on another. Rounds alternate between the servers, so that a slow phase of the
machine hits all alike; only ratios of medians of one run count. A throughput bar within 20 % of the result is decided by CPU time a call over
a fixed number of calls instead, in alternating pairs; if the quartiles of the pairs lie wider apart than the median from the bar, the verdict
is "unclear". README.md says more.
"""
import argparse
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time

from cold import ColdRows
from embed import EmbedRows
from loads import Target
from runtime_api import RuntimeApiRow
from servers import INVOKE, PEERS, ROOT, Hearth, Server, cpu_seconds, interpreter_version, memory_kib, program
from stats import is_near, quartiles, spread, verdict

ROWS = ("throughput", "latency", "tail", "cpu", "syscalls", "allocations", "memory", "embed", "cold", "runtime_api")
FUNCTIONS = ("node", "python", "c")
PEER_OF = {"node": "node_http", "python": "uvicorn", "c": "bare"}
# (function, path kind, least ratio of calls a second to the peer's at 64 connections)
THROUGHPUT_BARS = (("node", "invoke", 2.0), ("python", "invoke", 1.6), ("c", "invoke", 0.7), ("node", "fn", 1.0), ("python", "fn", 1.0))
# Largest ratio of p50 at one connection, and of p99 at 64, to the peer's.
LATENCY_BARS = {"node": 1.1, "python": 1.1, "c": 1.6}
TAIL_BARS = {"node": 1.0, "python": 1.0}
SYSCALLS_BAR = 2.4
ALLOCATIONS_BAR = 0
RSS_BAR_MB = 25
FULL = {"rounds": 5, "seconds": 10, "warm_up": 2, "pairs": 15, "window": 2, "cpu_calls": 100_000, "count_calls": 100_000}
QUICK = {"rounds": 2, "seconds": 2, "warm_up": 1, "pairs": 3, "window": 1, "cpu_calls": 20_000, "count_calls": 20_000}


def say(text=""):
    print(text, flush=True)


class Bench:
    say = staticmethod(say)

    def __init__(self, options):
        self.options = options
        self.size = QUICK if options.quick else FULL
        self.server_core, self.load_core = options.cores
        self.targets, self.servers = {}, []
        self.results = {"machine": machine(), "size": self.size, "versions": {}, "rows": {}, "bars": []}
        self.hearth = None

    # --- setting up

    def start(self):
        say("starting the servers")
        functions = self.options.functions
        folders = {"node": ["examples/hello_node", "bench/functions/fn_node"], "python": ["examples/hello_python", "bench/functions/fn_python"],
                   "c": ["examples/hello_c"]}
        self.hearth = Hearth(self.options.binary, self.server_core, [ROOT / folder for name in functions for folder in folders[name]])
        self.servers.append(self.hearth)
        for name in functions:
            self.add(f"{name} invoke", self.hearth, INVOKE.format(f"hello_{name}"))
            if name != "c":
                self.add(f"{name} fn", self.hearth, f"/fn/fn_{name}/")
        if "node" in functions:
            node = next(path for path in ("/usr/bin/node", "/usr/local/bin/node") if os.path.exists(path))
            self.peer("node_http", [node, PEERS / "node_http.cjs"], "node " + interpreter_version([node, "--version"]))
        if "python" in functions:
            self.start_uvicorn()
        if "c" in functions:
            libuv = interpreter_version(["dpkg-query", "-W", "-f", "libuv ${Version}", "libuv1-dev"])
            self.peer("bare", [ROOT / "build/tools/bare"], libuv)
        self.results["versions"]["hearth"] = self.hearth.version
        for target in self.targets.values():
            target.wrk(self.load_core, 8, 1, check=True)
            say(f"  {target.name:14} replies are right")

    def add(self, name, server, path):
        self.targets[name] = Target(name, server, path)

    def peer(self, name, command, version):
        server = Server(name, command, self.server_core, version)
        self.servers.append(server)
        self.results["versions"][name] = version
        self.add(name, server, "/")

    def start_uvicorn(self):
        """Debian's and the current one; the faster of the two is the peer."""
        question = "import uvicorn, uvloop, httptools, sys; print('uvicorn', uvicorn.__version__, 'uvloop', uvloop.__version__, " \
                   "'httptools', httptools.__version__, 'python', sys.version.split()[0])"
        candidates = []
        for python in ("/usr/bin/python3", ROOT / "build/tools/uvicorn/bin/python3"):
            if os.path.exists(python):
                version = interpreter_version([python, "-c", question])
                server = Server("uvicorn", [python, PEERS / "asgi_hello.py"], self.server_core, version)
                candidates.append((server, Target("uvicorn", server, "/")))
        rates = [[] for _ in candidates]
        for _ in range(2 if self.options.quick else 3):
            for rate, (_, target) in zip(rates, candidates):
                rate.append(target.wrk(self.load_core, 64, 2)["rps"])
        best = max(range(len(candidates)), key=lambda i: statistics.median(rates[i]))
        for i, (server, target) in enumerate(candidates):
            say(f"  {server.version}: {statistics.median(rates[i]):.0f}/s{' (the peer)' if i == best else ''}")
            if i == best:
                self.servers.append(server)
                self.targets["uvicorn"] = target
                self.results["versions"]["uvicorn"] = server.version
            else:
                server.close()

    def close(self):
        for server in self.servers:
            server.close()

    # --- rows

    def bar(self, text, ratios, limit, at_least, decisive=False, unit="x"):
        first, middle, third = quartiles(ratios)
        result = verdict(ratios, limit, at_least, decisive)
        self.results["bars"].append({"bar": text, "limit": limit, "at_least": at_least, "value": middle, "quartiles": [first, third], "verdict": result})
        say(f"  {result.upper():8} {text}: {middle:.3g}{unit} [{first:.3g} .. {third:.3g}], bar {'>=' if at_least else '<='} {limit:g}{unit}")
        return result

    def throughput(self):
        say(f"\nthroughput: 64 connections, {self.size['rounds']} rounds of {self.size['seconds']} s, alternating")
        rates = self.rounds()
        for name, peer in PEER_OF.items():
            if peer in rates and spread([figures["rps"] for figures in rates[peer]]) > 0.20:
                say(f"  {peer} varied by {spread([f['rps'] for f in rates[peer]]):.0%} between rounds: once more")
                rates = self.rounds()
                break
        medians = {name: statistics.median(f["rps"] for f in figures) for name, figures in rates.items()}
        self.results["rows"]["throughput"] = rates
        say(f"  {'':16} {'calls/s':>9} {'lowest':>9} {'highest':>9} {'p50 us':>8} {'p99 us':>8}   ratio to its peer")
        for name, figures in rates.items():
            peer = PEER_OF.get(name.split()[0])
            ratio = f"{medians[name] / medians[peer]:.2f} of {peer}" if peer in medians and name != peer else ""
            say(f"  {name:16} {medians[name]:9.0f} {min(f['rps'] for f in figures):9.0f} {max(f['rps'] for f in figures):9.0f} "
                f"{statistics.median(f['p50_us'] for f in figures):8.0f} {statistics.median(f['p99_us'] for f in figures):8.0f}   {ratio}")
        workers = ", ".join(f"{count} {name}" for name, count in sorted(self.hearth.worker_counts().items()))
        self.results["rows"]["workers"] = self.hearth.worker_counts()
        say(f"  workers at the end, parked ones included: {workers}")
        for function, kind, limit in THROUGHPUT_BARS:
            name, peer = f"{function} {kind}", PEER_OF[function]
            if name not in rates or peer not in rates:
                continue
            ratio = medians[name] / medians[peer]
            text = f"{name} / {peer}, calls a second at 64 connections"
            if is_near(ratio, limit):
                say(f"  {ratio:.2f} is within 20 % of the bar of {limit:g}: CPU time decides")
                self.cpu_bar(function, kind, limit)
            else:
                self.bar(text, [a["rps"] / b["rps"] for a, b in zip(rates[name], rates[peer])], limit, True)

    def rounds(self):
        rates = {name: [] for name in self.targets}
        for number in range(self.size["rounds"]):
            for name, target in self.targets.items():
                target.wrk(self.load_core, 64, self.size["warm_up"])
                rates[name].append(target.wrk(self.load_core, 64, self.size["seconds"]))
            say(f"  round {number + 1}: " + ", ".join(f"{name} {figures[-1]['rps'] / 1000:.1f}k" for name, figures in rates.items()))
        return rates

    def cpu_bar(self, function, kind, limit):
        """The peer's CPU time a call divided by ours (engine, spawner and workers), pair by pair."""
        ours, peer = self.targets[f"{function} {kind}"], self.targets[PEER_OF[function]]
        ratios, figures = [], []
        for target in (ours, peer):
            target.fixed(self.load_core, 64, self.size["cpu_calls"] // 10)
        for _ in range(self.size["pairs"]):
            used = [self.cpu_per_call(target) for target in (ours, peer)]
            figures.append(used)
            ratios.append(used[1] / used[0])
        microseconds = [statistics.median(pair[i] for pair in figures) * 1e6 for i in (0, 1)]
        self.results["rows"].setdefault("cpu", {})[f"{function} {kind}"] = figures
        say(f"  CPU time a call: {ours.name} {microseconds[0]:.2f} us, {peer.name} {microseconds[1]:.2f} us")
        self.bar(f"{ours.name} / {peer.name}, calls for the same CPU time at 64 connections", ratios, limit, True)

    def cpu_per_call(self, target):
        before_pids = target.server.pids()
        before = cpu_seconds(before_pids)
        target.fixed(self.load_core, 64, self.size["cpu_calls"])
        return (cpu_seconds(target.server.pids()) - before) / self.size["cpu_calls"]

    def cpu(self):
        if "throughput" not in self.options.rows:  # else it has measured those that are near their bar
            say(f"\nCPU time: {self.size['cpu_calls']} calls, {self.size['pairs']} alternating pairs")
            for function, kind, limit in THROUGHPUT_BARS:
                if f"{function} {kind}" in self.targets:
                    self.cpu_bar(function, kind, limit)

    def windows(self, title, connections, key, bars, text):
        say(f"\n{title}: {self.size['pairs']} alternating windows of {self.size['window']} s")
        rows = self.results["rows"].setdefault(title, {})
        for function, peer in PEER_OF.items():
            name = f"{function} invoke"
            if name not in self.targets:
                continue
            pairs = []
            for target in (self.targets[name], self.targets[peer]):
                target.wrk(self.load_core, connections, self.size["warm_up"])
            for _ in range(self.size["pairs"]):
                pairs.append([target.wrk(self.load_core, connections, self.size["window"])[key] for target in (self.targets[name], self.targets[peer])])
            rows[name] = pairs
            say(f"  {name}: {statistics.median(p[0] for p in pairs):.0f} us, {peer}: {statistics.median(p[1] for p in pairs):.0f} us")
            if function in bars:
                self.bar(f"{name} / {peer}, {text}", [ours / theirs for ours, theirs in pairs], bars[function], False)

    def latency(self):
        self.windows("latency", 1, "p50_us", LATENCY_BARS, "p50 at one connection")

    def tail(self):
        self.windows("tail", 64, "p99_us", TAIL_BARS, "p99 at 64 connections")

    def syscalls(self):
        say(f"\nsystem calls of the engine: {self.size['count_calls']} calls at 64 connections, no pipelining")
        for function in self.options.functions:
            target = self.targets[f"{function} invoke"]
            target.fixed(self.load_core, 64, 5000)
            count, tool = count_syscalls(target, self.hearth.process.pid, self.load_core, self.size["count_calls"])
            self.results["rows"].setdefault("syscalls", {})[function] = {"a_call": count, "tool": tool}
            self.bar(f"system calls a call, {function} ({tool})", [count], SYSCALLS_BAR, False, decisive=True, unit="")

    def allocations(self):
        """The engine's own counter, in a build that has it. The slope between two runs, so that what is allocated once does not count."""
        binary = ROOT / "build/counted/hearth"
        if not binary.exists():
            raise SystemExit("bench: build/counted is not built: cmake --preset counted && cmake --build --preset counted")
        say("\nheap allocations of the engine a warm call (a build that counts them)")
        hearth = Hearth(binary, self.server_core, [ROOT / f"examples/hello_{name}" for name in self.options.functions])
        try:
            for function in self.options.functions:
                target = Target(function, hearth, INVOKE.format(f"hello_{function}"))
                target.fixed(self.load_core, 64, 20_000)
                counts = []
                for calls in (10_000, 30_000):
                    before = hearth.metrics()["hearth_allocations_total"]
                    target.fixed(self.load_core, 64, calls)
                    counts.append(hearth.metrics()["hearth_allocations_total"] - before)
                per_call = (counts[1] - counts[0]) / 20_000
                self.results["rows"].setdefault("allocations", {})[function] = {"short": counts[0], "long": counts[1], "a_call": per_call}
                say(f"  {function}: {counts[0]:.0f} in 10,000 calls with their connections, {counts[1]:.0f} in 30,000")
                # Below one in a thousand calls it is what the two connections sets and /metrics themselves differ by.
                self.bar(f"allocations a warm call, {function}", [max(0.0, round(per_call, 3))], ALLOCATIONS_BAR, False, decisive=True, unit="")
        finally:
            hearth.close()

    def memory(self):
        say("\nmemory of an idle daemon without functions")
        hearth = Hearth(self.options.binary, self.server_core, [])
        try:
            time.sleep(3)  # the pools fill up
            rows = []
            for pid in hearth.pids():
                resident, proportional = memory_kib(pid)
                what = "engine" if pid == hearth.process.pid else "spawner" if pid == hearth.spawner() else f"pool: {program(pid)}"
                rows.append({"process": what, "rss_mb": resident / 1024, "pss_mb": proportional / 1024})
                say(f"  {what:22} RSS {resident / 1024:6.1f} MB, PSS {proportional / 1024:6.1f} MB")
            self.results["rows"]["memory"] = rows
            self.bar("resident memory of the idle engine", [rows[0]["rss_mb"]], RSS_BAR_MB, False, decisive=True, unit=" MB")
        finally:
            hearth.close()

    def embed(self):
        EmbedRows(self).run()

    def runtime_api(self):
        RuntimeApiRow(self).run()

    def cold(self):
        ColdRows(self).run()

    def run(self):
        rows = self.options.rows
        try:
            if set(rows) - {"memory", "allocations", "embed", "cold", "runtime_api"}:
                self.start()
            for row in rows:
                getattr(self, row)()
        finally:
            self.close()


def count_syscalls(target, pid, core, calls):
    """(system calls of `pid` a call, the tool that counted them)."""
    if shutil.which("perf"):
        _, text = target.fixed(core, 64, calls, ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", str(pid), "--"])
        found = re.search(r"^(\d+),.*raw_syscalls:sys_enter", text, re.MULTILINE)
        if found:
            return int(found.group(1)) / calls, "perf"
    out = pathlib.Path("build/reports/strace.txt")
    tracer = subprocess.Popen(["strace", "-c", "-f", "-p", str(pid), "-o", str(out)], stderr=subprocess.DEVNULL)
    time.sleep(1)
    try:
        target.fixed(core, 64, calls)
    finally:
        tracer.send_signal(2)
        tracer.wait(20)
    # Columns: % time, seconds, microseconds a call, calls, errors (may be missing), name.
    lines = [line.split() for line in out.read_text().splitlines()]
    return sum(int(words[3]) for words in lines if len(words) >= 5 and words[3].isdigit() and words[-1] != "total") / calls, "strace"


def machine():
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8") if line.startswith("model name")), "?")
    return {"cpu": cpu, "cores": os.cpu_count(), "kernel": platform.release(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}


def parse():
    def listed(known):
        def parse_list(text):
            words = text.split(",")
            if not set(words) <= set(known):
                raise argparse.ArgumentTypeError(f"known: {', '.join(known)}")
            return [word for word in known if word in words]
        return parse_list

    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="short rounds: shows that it works, decides nothing")
    parser.add_argument("--rows", type=listed(ROWS), default=list(ROWS), help=f"only these, of {','.join(ROWS)}")
    parser.add_argument("--functions", type=listed(FUNCTIONS), default=list(FUNCTIONS), help=f"only these, of {','.join(FUNCTIONS)}")
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "build/release/hearth")
    parser.add_argument("--cores", type=lambda text: tuple(int(word) for word in text.split(",")), default=(0, 1),
                        help="core of the servers, core of the load (default 0,1)")
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / "build/bench.json")
    return parser.parse_args()


def main():
    options = parse()
    if os.cpu_count() < 2:
        raise SystemExit("bench: two cores are needed, one for the servers and one for the load")
    bench = Bench(options)
    say(f"{bench.results['machine']['cpu']}, {os.cpu_count()} cores, Linux {platform.release()}; load average {os.getloadavg()[0]:.1f}")
    bench.run()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(bench.results, indent=1))
    say(f"\nbars ({'quick run: decides nothing' if options.quick else 'full run'}):")
    for bar in bench.results["bars"]:
        say(f"  {bar['verdict'].upper():8} {bar['bar']}: {bar['value']:.3g} (bar {'>=' if bar['at_least'] else '<='} {bar['limit']:g})")
    say("versions: " + "; ".join(f"{name}: {version}" for name, version in bench.results["versions"].items()))
    say(f"figures: {options.json}")
    return 1 if any(bar["verdict"] == "fail" for bar in bench.results["bars"]) else 0


if __name__ == "__main__":
    sys.exit(main())
