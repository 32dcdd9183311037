"""The cold rows: calls of functions that never ran before, heavy imports, a burst on a cold function, what a parked worker and a sandbox hold,
and what confinement costs a warm call. README.md has the method."""
import os
import pathlib
import statistics
import time

import cold_kit as kit
from loads import Target
from servers import INVOKE, ROOT, Hearth, cpu_seconds, memory_kib, program, tree

# kind -> (runtime, the program's fresh start, largest share of it, goal)
CALLS = {
    "python": ("python3", ["/usr/bin/python3", "-c", "pass"], 0.15, 0.05),
    "commonjs": ("nodejs", ["/usr/bin/node", "-e", "0"], 0.05, 0.016),
    "esm": ("nodejs", ["/usr/bin/node", "-e", "0"], 0.15, 0.016),
}
KINDS_OF = {"python": ("python",), "node": ("commonjs", "esm")}
IMPORTS_BAR = 1 / 20
BURST_CALLS, BURST_WORKERS, BURST_SLEEP, BURST_MS_BAR = 200, 50, 0.25, 500
PARKED_MB_BARS = {"python": 4.0, "node": 8.0}
SANDBOX_MB_BAR = 0.4
IDLE_MB_BAR = 25
CONFINEMENT_BAR = 1.05
SANDBOXES = 40  # of which a sandbox's own memory is the mean
BUNDLE_BYTES, BUNDLE_BAR = 1 << 20, 0.75
KERNEL_FIELDS = ("Slab", "KernelStack", "PageTables", "Percpu")
FULL = {"calls": 40, "empty_calls": 30, "bundles": 30, "imports": 30, "bursts": 30, "sandbox_rounds": 5, "pairs": 15, "warm_calls": 50_000}
QUICK = {"calls": 5, "empty_calls": 2, "bundles": 3, "imports": 1, "bursts": 1, "sandbox_rounds": 1, "pairs": 3, "warm_calls": 5_000}


def say(text=""):
    print(text, flush=True)


def milliseconds(seconds):
    return f"{statistics.median(seconds) * 1000:.2f} ms"


class ColdRows:
    def __init__(self, bench):
        self.bench, self.binary = bench, bench.options.binary
        self.kinds = [name for name in ("python", "node") if name in bench.options.functions]
        self.size = QUICK if bench.options.quick else FULL
        self.rows = bench.results["rows"].setdefault("cold", {})
        self.cores = ",".join(map(str, bench.options.cores))

    def run(self):
        self.folders = kit.Folders()
        try:
            self.calls()
            self.bundles()
            self.imports()
            self.bursts()
            self.memory()
            self.sandbox_memory()
            self.confinement()
        finally:
            self.folders.close()

    def hearth(self, config=None, arguments=("--sandbox", "strict"), functions=()):
        return Hearth(self.binary, self.cores, functions, config, arguments)

    # --- calls of functions that never ran

    def calls(self):
        say(f"\ncold calls beside fresh starts of the interpreter, {self.size['calls']} of each, alternating; strict, both cores for both")
        for kind in (kind for name in self.kinds for kind in KINDS_OF[name]):
            runtime, command, bar, goal = CALLS[kind]
            pairs = self.call_pairs(kind, runtime, command, self.size["calls"], None)
            self.rows[f"call {kind}"] = pairs
            say(f"  {kind}: cold call {milliseconds([p[0] for p in pairs])}, fresh start {milliseconds([p[1] for p in pairs])} (goal {goal:g})")
            self.bench.bar(f"cold call / fresh start, {kind}", [ours / theirs for ours, theirs in pairs], bar, False)
        for kind in (kind for name in self.kinds for kind in KINDS_OF[name]):
            runtime, command, _, _ = CALLS[kind]
            pairs = self.call_pairs(kind, runtime, command, self.size["empty_calls"], {"pool": {"python3": 0, "nodejs": 0}})
            self.rows[f"call {kind}, pool empty"] = pairs
            ratio = statistics.median(ours / theirs for ours, theirs in pairs)
            say(f"  {kind} with an empty pool: {milliseconds([p[0] for p in pairs])}, {ratio:.2f} of a fresh start (no bar)")

    def call_pairs(self, kind, runtime, command, count, config):
        names = [f"{kind}{'_empty' if config else ''}_{i}" for i in range(count + 1)]  # the first one is not counted: it warms the engine and the page cache
        functions = [self.folders.hello(kind, name, i) for i, name in enumerate(names)]
        hearth = self.hearth(config, functions=functions)
        try:
            least = 0 if config else 1
            pairs = []
            for i, name in enumerate(names):
                fresh = kit.fresh_start(command)
                kit.wait_at_rest(hearth, runtime, least)
                took, value = kit.timed_call(hearth.port, name, {"name": "world"})
                if value != {"message": "Hello world", "number": i}:
                    raise SystemExit(f"bench: {name} replied {value}")
                hearth.delete(name)
                pairs.append((took, fresh))
            metrics = hearth.metrics()
            hits, misses = kit.total(metrics, "hearth_pool_hits_total"), kit.total(metrics, "hearth_pool_misses_total")
            if (misses if least else hits) != 0:
                raise SystemExit(f"bench: {hits:.0f} calls found a parked worker, {misses:.0f} none: not what was to be measured")
            return pairs[1:]
        finally:
            hearth.close()

    # --- the compile cache of a bundle

    def bundles(self):
        if "node" not in self.kinds:
            return
        say(f"\ncold calls of a CommonJS bundle of {BUNDLE_BYTES >> 20} MiB after the first one, with and without a compile cache, "
            f"{self.size['bundles']} of each, alternating")
        settings = "timeout: 30s\nmemory: 512MB\nrecycle: {max_calls: 1}\nconcurrency: {workers_max: 1}\n"  # so that each call is cold
        folder = self.folders.bundle("bundle", BUNDLE_BYTES, settings)
        servers = []
        try:
            for config in (None, {"limits": {"compile_cache_per_function": 0}}):
                servers.append(self.hearth(config, functions=[folder]))
            first = [self.cold_bundle(server) for server in servers]
            pairs = []
            for i in range(self.size["bundles"]):
                order = servers if i % 2 == 0 else servers[::-1]
                took = {server: self.cold_bundle(server) for server in order}
                pairs.append([took[server] for server in servers])
            metrics = servers[0].metrics()
            held = kit.total(metrics, "hearth_compile_cache_bytes")
            hits = kit.total(metrics, "hearth_compile_cache_hits_total")
        finally:
            for server in servers:
                server.close()
        if hits != self.size["bundles"]:
            raise SystemExit(f"bench: {hits:.0f} of {self.size['bundles']} workers used the cache: not what was to be measured")
        self.rows["bundle"] = {"first": first, "pairs": pairs, "cache_bytes": held}
        say(f"  first call {first[0] * 1000:.0f} ms (makes a cache of {held / 1e6:.1f} MB), {first[1] * 1000:.0f} ms without; "
            f"later ones {milliseconds([p[0] for p in pairs])}, {milliseconds([p[1] for p in pairs])} without")
        self.bench.bar("cold call of a bundle with its compile cache / without", [ours / theirs for ours, theirs in pairs], BUNDLE_BAR, False)

    def cold_bundle(self, server):
        kit.wait_for(lambda: kit.function_workers(server, "bundle") == 0, "the bundle's last worker to go")
        kit.wait_at_rest(server, "nodejs", 1)
        return kit.timed_call(server.port, "bundle", {})[0]

    # --- heavy imports

    def imports(self):
        if "python" not in self.kinds:
            return
        missing = [name for name in ("numpy", "scipy", "pandas") if not os.path.exists(f"/usr/lib/python3/dist-packages/{name}")]
        if missing:
            say(f"\nheavy imports, science: SKIPPED, not installed: {', '.join(missing)} (tests/install_packages science)")
        else:
            self.import_row("science", lambda name, settings: self.folders.timed(
                "python", name, settings, "import numpy, pandas, scipy.linalg, scipy.optimize, scipy.stats\n"))
        self.import_row("2000 modules", self.folders.many_modules)

    def import_row(self, what, make):
        say(f"\nheavy imports, {what}: from the call to the handler, {self.size['imports']} revisions")
        settings = "memory: 1024MB\ntimeout: 60s\nconcurrency: {workers_max: 2}\n"
        hearth = self.hearth({"pool": {"idle_timeout": "4s"}, "limits": {"init_timeout": "60s"}})
        times = []
        try:
            for i in range(self.size["imports"]):
                name = f"heavy_{what.replace(' ', '_')}_{i}"
                hearth.deploy(make(name, settings))
                kit.wait_at_rest(hearth, "python3", 1)
                first, worker = self.until_handler(hearth, name)
                kit.wait_for(lambda: kit.total(hearth.metrics(), "hearth_zygotes") > 0, f"the zygote of {name}")
                kit.wait_at_rest(hearth, "python3", 1)  # what prepares further workers has done so
                second = self.second_worker(hearth, name, worker)
                kit.wait_for(lambda: kit.function_workers(hearth, name) == 0, f"{name} to idle to zero")
                kit.wait_at_rest(hearth, "python3", 1)
                again, _ = self.until_handler(hearth, name)
                hearth.delete(name)
                times.append((first, second, again))
        finally:
            hearth.close()
        self.rows[f"imports {what}"] = times
        for at, text in ((1, "the second worker"), (2, "the first one after idling to zero")):
            say(f"  first worker {milliseconds([t[0] for t in times])}, {text} {milliseconds([t[at] for t in times])}")
            self.bench.bar(f"imports of {what}: {text} / the first", [t[at] / t[0] for t in times], IMPORTS_BAR, False)

    def until_handler(self, hearth, name, sleep=0):
        one = kit.Call(hearth.port, name, {"sleep": sleep})
        one.send()
        value = one.reply()
        return value["start"] - one.sent, value["worker"]

    def second_worker(self, hearth, name, first_worker):
        """Two calls at once, of which each keeps a worker for long: one of them needs a second worker."""
        calls = [kit.Call(hearth.port, name, {"sleep": 3}) for _ in range(2)]
        for one in calls:
            one.send()
        replies = [one.reply() for one in calls]
        late = [(value["start"] - one.sent) for one, value in zip(calls, replies) if value["worker"] != first_worker]
        if not late:
            raise SystemExit(f"bench: {name}: no new worker took one of two calls at once")
        return max(late)  # of both, if the first one has idled out meanwhile

    # --- a burst on a cold function

    def bursts(self):
        for kind in self.kinds:
            say(f"\nburst: {BURST_CALLS} calls at once on a cold {kind} function that sleeps {BURST_SLEEP * 1000:g} ms, workers_max {BURST_WORKERS}, "
                f"{self.size['bursts']} times")
            runtime = "python3" if kind == "python" else "nodejs"
            hearth = self.hearth()
            try:
                figures = [self.burst(hearth, kind, runtime, f"burst_{kind}_{i}") for i in range(self.size["bursts"])]
            finally:
                hearth.close()
            self.rows[f"burst {kind}"] = figures
            times = [time_ms for time_ms, _ in figures]
            say(f"  {BURST_WORKERS} executing after {statistics.median(times):.0f} ms, at most {max(started for _, started in figures):.0f} were started")
            if kind == "python":
                self.bench.bar(f"burst: ms until {BURST_WORKERS} workers execute, python", times, BURST_MS_BAR, False, unit=" ms")
            self.bench.bar(f"burst: workers started, {kind}", [max(started for _, started in figures)], BURST_WORKERS, False, decisive=True, unit="")

    def burst(self, hearth, kind, runtime, name):
        """(milliseconds from the first call until BURST_WORKERS execute at once, workers that were started for it)"""
        hearth.deploy(self.folders.timed(kind, name, f"concurrency: {{workers_max: {BURST_WORKERS}}}\ntimeout: 30s\n"))
        kit.wait_at_rest(hearth, runtime, 1)
        calls = [kit.Call(hearth.port, name, {"sleep": BURST_SLEEP}) for _ in range(BURST_CALLS)]
        for one in calls:
            one.send()
        replies = [one.reply() for one in calls]
        kit.wait_at_rest(hearth, runtime, 1)
        started = kit.worker_starts(hearth, name)
        hearth.delete(name)
        kit.wait_for(lambda: kit.total(hearth.metrics(), "hearth_workers") == kit.total(hearth.metrics(), "hearth_workers_parked"), "the workers' end")
        executing = executing_at_once([(value["start"], value["end"]) for value in replies], BURST_WORKERS)
        return (executing - calls[0].sent) * 1000 if executing is not None else float("inf"), started

    # --- memory

    def memory(self):
        say("\nmemory of parked workers (private pages) and of the idle daemon")
        hearth = self.hearth()
        try:
            for runtime in ("python3", "nodejs"):
                kit.wait_at_rest(hearth, runtime, 2)  # two at least: what they share is not private
            found = {"python": [], "node": []}
            inits = []
            spawner = hearth.spawner()
            for pid in tree(hearth.process.pid)[2:]:
                kind = "python" if program(pid).startswith("python") else program(pid)
                if kind in found:
                    found[kind].append(kit.private_kib(pid) / 1024)
                elif pid != spawner:
                    inits.append(kit.private_kib(pid) / 1024)
            idle = [memory_kib(pid)[0] / 1024 for pid in (hearth.process.pid, spawner)]
        finally:
            hearth.close()
        self.rows["memory"] = {"parked_mb": found, "init_mb": inits, "engine_spawner_rss_mb": idle}
        for kind in self.kinds:
            self.bench.bar(f"private memory of a parked worker, {kind}", [max(found[kind])], PARKED_MB_BARS[kind], False, decisive=True, unit=" MB")
        say(f"  init process: {statistics.median(inits):.3f} MB; engine {idle[0]:.1f} MB, spawner {idle[1]:.1f} MB resident")
        self.bench.bar("resident memory of engine and spawner, idle", [sum(idle)], IDLE_MB_BAR, False, decisive=True, unit=" MB")

    def sandbox_memory(self):
        """The kernel's memory of workers in sandboxes minus that of the same workers without, and the private memory of init."""
        say(f"\nmemory of a sandbox itself: {SANDBOXES} native workers, strict minus off, {self.size['sandbox_rounds']} alternating rounds")
        settings = (ROOT / "examples/hello_c/function.yaml").read_text() + f"\nconcurrency: {{workers_min: {SANDBOXES}, workers_max: {SANDBOXES}}}\n"
        folder = self.folders.make("sandboxes", {}, settings)
        (folder / "hello").write_bytes((ROOT / "examples/hello_c/hello").read_bytes())
        (folder / "hello").chmod(0o755)
        differences = []
        for _ in range(self.size["sandbox_rounds"]):
            strict = self.workers_memory(folder, ("--sandbox", "strict"))
            off = self.workers_memory(folder, ("--sandbox", "off", "--i-know-this-is-unsafe"))
            differences.append((strict - off) / SANDBOXES / 1024)
        self.rows["sandbox_mb"] = differences
        self.bench.bar("memory of a sandbox itself", differences, SANDBOX_MB_BAR, False, unit=" MB")

    def workers_memory(self, folder, arguments):
        """KiB that SANDBOXES workers add: the kernel's memory, and the private memory of what is between the spawner and the workers."""
        hearth = self.hearth({"pool": {"python3": 0, "nodejs": 0}}, arguments)
        try:
            time.sleep(0.5)
            before = kernel_kib()
            hearth.deploy(folder)
            kit.wait_for(lambda: kit.function_workers(hearth, "sandboxes") == SANDBOXES, f"{SANDBOXES} workers")
            kit.wait_at_rest(hearth, "native", 0)
            time.sleep(0.5)
            kernel = kernel_kib() - before
            between = [pid for pid in tree(hearth.process.pid)[2:] if len(tree(pid)) > 1]
            return kernel + sum(kit.private_kib(pid) for pid in between)
        finally:
            hearth.close()

    # --- confinement of a warm call

    def confinement(self):
        say(f"\nCPU time of engine and workers a warm call, strict beside --sandbox off: {self.size['warm_calls']} calls, {self.size['pairs']} pairs")
        functions = [self.folders.warm(kind, f"warm_{kind}") for kind in self.kinds]
        servers = []
        try:
            for arguments in (("--sandbox", "strict"), ("--sandbox", "off", "--i-know-this-is-unsafe")):
                servers.append(Hearth(self.binary, self.bench.server_core, functions, None, arguments))
            for kind in self.kinds:
                targets = [Target(f"{kind}", server, INVOKE.format(f"warm_{kind}")) for server in servers]
                for target in targets:
                    target.fixed(self.bench.load_core, 64, self.size["warm_calls"])
                pairs = []
                for i in range(self.size["pairs"]):
                    order = targets if i % 2 == 0 else targets[::-1]
                    figures = {target.server: self.cpu_a_call(target) for target in order}
                    pairs.append([figures[server] for server in servers])
                self.rows[f"confinement {kind}"] = pairs
                say(f"  {kind}: strict {statistics.median(p[0] for p in pairs) * 1e6:.2f} us, off {statistics.median(p[1] for p in pairs) * 1e6:.2f} us")
                self.bench.bar(f"CPU time a warm call, strict / off, {kind}", [strict / off for strict, off in pairs], CONFINEMENT_BAR, False)
        finally:
            for server in servers:
                server.close()

    def cpu_a_call(self, target):
        before = cpu_seconds(target.server.pids())
        target.fixed(self.bench.load_core, 64, self.size["warm_calls"])
        return (cpu_seconds(target.server.pids()) - before) / self.size["warm_calls"]


def executing_at_once(intervals, count):
    """When `count` of the intervals were first open at once; None if never."""
    changes = sorted([(start, 1) for start, _ in intervals] + [(end, -1) for _, end in intervals])
    open_now = 0
    for when, change in changes:
        open_now += change
        if open_now == count:
            return when
    return None


def kernel_kib():
    fields = dict(line.split(":") for line in pathlib.Path("/proc/meminfo").read_text().splitlines())
    return sum(int(fields[name].split()[0]) for name in KERNEL_FIELDS if name in fields)
