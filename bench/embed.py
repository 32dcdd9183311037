"""Rows of the engine inside a host process (bench/embed_bench.cc, through libhearth), beside the same calls by HTTP."""
import json
import re
import statistics
import subprocess
import time

from loads import Target
from servers import INVOKE, ROOT, Hearth

FOLDERS = {"node": "examples/hello_node", "python": "examples/hello_python"}
CALL_TIME_BAR = 0.7  # of the time by HTTP, one call at a time
CALL_RATE_BAR = 1.2  # of the rate by HTTP, 64 calls in flight
NATIVE_US_BAR = 2.0
NATIVE_ALLOCATIONS_BAR = 0
FIRST_CALL_MS_BAR = 150
LOCAL_INVOKE_MS_BAR = 250
BIG_HOST_BAR = 1.2  # of the time in a small host
BIG_HOST = (2048, 100)  # MiB resident, threads
MODES = {"own": "the engine has a thread", "driven": "the host drives"}


def say(text=""):
    print(text, flush=True)


def program(folder):
    path = folder / "embed_bench"
    if not path.exists():
        raise SystemExit(f"bench: {path} is not built: cmake --build {folder} --target embed_bench")
    return path


class Host:
    """embed_bench serve: one engine in one process, which obeys lines."""

    def __init__(self, path, core, load_core, folder, mode):
        self.process = subprocess.Popen(["taskset", "-c", str(core), path, "serve", ROOT / folder, mode, str(load_core)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.sandbox = self.answer()["sandbox"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"bench: embed_bench ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, word, in_flight, amount):
        """"calls" for seconds, "count" for a number of calls; in_flight 0: blocking calls, one at a time."""
        self.process.stdin.write(f"{word} {in_flight} {amount}\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)


class EmbedRows:
    def __init__(self, bench):
        self.bench, self.size = bench, bench.size
        self.core, self.load_core = bench.options.cores
        self.folder = bench.options.binary.parent
        self.rows = bench.results["rows"].setdefault("embed", {})

    def run(self):
        for function in self.bench.options.functions:
            if function in FOLDERS:
                self.calls(function)
        self.native()
        self.native_allocations()
        self.first_call()
        self.local_invoke()
        self.big_host()

    # --- calls of a warm worker

    def calls(self, function):
        say(f"\nin-process calls, {function}: {self.size['pairs']} alternating windows of {self.size['window']} s by HTTP and by libhearth")
        daemon = Hearth(self.bench.options.binary, self.core, [ROOT / FOLDERS[function]])
        hosts = {}
        try:
            for mode in MODES:
                hosts[mode] = Host(program(self.folder), self.core, self.load_core, FOLDERS[function], mode)
            http = Target(function, daemon, INVOKE.format(f"hello_{function}"))
            for connections, key in ((1, "p50_us"), (64, "rps")):
                self.compare(function, http, hosts, connections, key)
        finally:
            for host in hosts.values():
                host.close()
            daemon.close()

    def compare(self, function, http, hosts, connections, key):
        window, in_flight = self.size["window"], 0 if connections == 1 else connections
        http.wrk(self.load_core, connections, self.size["warm_up"])
        for host in hosts.values():
            host.ask("calls", in_flight, self.size["warm_up"])
        rounds = []
        for _ in range(self.size["pairs"]):
            figures = {mode: host.ask("calls", in_flight, window)[key] for mode, host in hosts.items()}
            rounds.append({"http": http.wrk(self.load_core, connections, window)[key], **figures})
        self.rows[f"{function} {connections}"] = rounds
        unit = "us" if key == "p50_us" else "/s"
        say(f"  {connections} at a time: " + ", ".join(f"{name} {statistics.median(r[name] for r in rounds):,.1f} {unit}" for name in rounds[0]))
        for mode, words in MODES.items():
            ratios = [r[mode] / r["http"] for r in rounds]
            if connections == 1:
                self.bench.bar(f"{function} in-process / by HTTP, p50 one at a time, {words}", ratios, CALL_TIME_BAR, False)
            else:
                self.bench.bar(f"{function} in-process / by HTTP, calls a second with 64 in flight, {words}", ratios, CALL_RATE_BAR, True)

    # --- a handler in C++ in the host's process

    def native(self):
        say("\na C++ handler in the host's process, the host drives")
        host = Host(program(self.folder), self.core, self.load_core, ".", "native")
        try:
            figures = {}
            for in_flight, words in ((1, "one at a time"), (64, "64 in flight")):
                host.ask("calls", in_flight, self.size["warm_up"])
                windows = [host.ask("calls", in_flight, self.size["window"]) for _ in range(self.size["pairs"])]
                figures[words] = windows
                self.bench.bar(f"a call of a C++ handler, {words}", [1e6 / w["rps"] for w in windows], NATIVE_US_BAR, False, unit=" us")
            self.rows["native"] = figures
        finally:
            host.close()

    def native_allocations(self):
        """The slope between two runs, in a build that counts: what asking for the count allocates does not count."""
        say("\nheap allocations of the engine a call of a C++ handler (a build that counts them)")
        host = Host(program(ROOT / "build/counted"), self.core, self.load_core, ".", "native")
        try:
            for in_flight in (1, 64):
                host.ask("count", in_flight, 20_000)
                counts = [host.ask("count", in_flight, calls)["allocations"] for calls in (10_000, 30_000)]
                if counts[0] == 0:
                    raise SystemExit("bench: build/counted/embed_bench counts nothing")
                per_call = (counts[1] - counts[0]) / 20_000
                self.rows[f"native allocations {in_flight}"] = {"short": counts[0], "long": counts[1], "a_call": per_call}
                self.bench.bar(f"allocations a call of a C++ handler, {in_flight} in flight", [max(0.0, round(per_call, 3))],
                               NATIVE_ALLOCATIONS_BAR, False, decisive=True, unit="")
        finally:
            host.close()

    # --- starts

    def first_call(self):
        rounds = 3 * self.size["pairs"]
        say(f"\nfrom the start of a process to the reply of its first Python call: {rounds} processes, page cache warm")
        times = []
        for number in range(rounds + 2):
            began = time.monotonic_ns()
            done = subprocess.run([program(self.folder), "first", ROOT / FOLDERS["python"]], capture_output=True, text=True, check=True)
            marks = json.loads(done.stdout)
            if number >= 2:
                times.append({name: (at - began) / 1e6 for name, at in marks.items()})
        self.rows["first"] = times
        say("  " + ", ".join(f"{name} after {statistics.median(t[name] for t in times):.1f} ms" for name in times[0]))
        self.bench.bar("first Python call of a cold process", [t["replied"] for t in times], FIRST_CALL_MS_BAR, False, unit=" ms")

    def local_invoke(self):
        command = [self.bench.options.binary, "invoke", "--local", ROOT / FOLDERS["python"], "--event", "-"]
        rounds = 3 * self.size["pairs"]
        say(f"\nhearth invoke --local in all: {rounds} processes")
        times = []
        for number in range(rounds + 2):
            began = time.monotonic()
            done = subprocess.run(command, input='{"name":"world"}', capture_output=True, text=True, check=False)
            if done.returncode != 0 or "Hello world" not in done.stdout:
                raise SystemExit(f"bench: hearth invoke --local: exit {done.returncode}: {done.stdout}{done.stderr}")
            if number >= 2:
                times.append((time.monotonic() - began) * 1e3)
        self.rows["local"] = times
        self.bench.bar("hearth invoke --local, in all", times, LOCAL_INVOKE_MS_BAR, False, unit=" ms")

    def big_host(self):
        resident, threads = BIG_HOST
        rounds = 3 * self.size["pairs"]
        say(f"\nworker starts in a host of {resident} MiB resident and {threads} threads, beside a small one: {rounds} alternating pairs")
        if available_mib() < resident * 1.5:
            say(f"  skipped: {available_mib()} MiB of memory are free")
            return
        pairs = []
        for number in range(rounds + 1):
            order = (0, 1) if number % 2 else (1, 0)  # neither of them always comes behind the other
            figures = {which: self.one_host(*((0, 0), BIG_HOST)[which]) for which in order}
            if number:
                pairs.append([figures[0], figures[1]])
        self.rows["host"] = pairs
        for key, words in (("open_ms", "opening an engine"), ("cold_ms", "ten cold calls in a row")):
            small, big = ([pair[i][key] for pair in pairs] for i in (0, 1))
            say(f"  {words}: {statistics.median(small):.2f} ms, in the big host {statistics.median(big):.2f} ms")
            self.bench.bar(f"{words}, in a big host / in a small one", [b / s for s, b in zip(small, big)], BIG_HOST_BAR, False)

    def one_host(self, resident, threads):
        done = subprocess.run([program(self.folder), "host", ROOT / FOLDERS["python"], str(resident), str(threads), "10"],
                              capture_output=True, text=True, check=True)
        figures = json.loads(done.stdout)
        # The sum: one call finds a parked worker and the next one waits for a start, so the median of ten jumps between the two.
        return {"open_ms": figures["open_ms"], "cold_ms": sum(figures["cold_ms"])}


def available_mib():
    with open("/proc/meminfo", encoding="utf-8") as file:
        return int(re.search(r"^MemAvailable:\s+(\d+)", file.read(), re.MULTILINE).group(1)) // 1024
