"""The row of the Lambda Runtime API: a Go function on aws-lambda-go beside the C worker on the frame protocol, one call at a time each and none
sent ahead, and both beside the floor: the same Go program served by a server that does nothing else (peers/bare_api.cc).
"""
import statistics
import subprocess

from loads import Target
from servers import INVOKE, ROOT, Hearth, interpreter_version

RATE_BAR = 0.5
# Nothing is sent ahead of the call that runs: limits.prefetch_time is what calls ahead may take.
CONFIG = {"limits": {"prefetch_time": "0s"}}


class RuntimeApiRow:
    def __init__(self, bench):
        self.bench = bench
        self.program = ROOT / "examples/hello_go/bootstrap"

    def floor(self):
        """Calls a second of the Go program without a caller, an engine or a sandbox, on the core of the servers."""
        seconds = self.bench.size["window"] * 2
        done = subprocess.run(["taskset", "-c", str(self.bench.server_core), ROOT / "build/tools/bare_api", str(seconds), self.program],
                              capture_output=True, text=True, check=True)
        return int(done.stdout) / seconds

    def run(self):
        bench = self.bench
        say = bench.say
        say("\nRuntime API: aws-lambda-go and the C worker, calls a second, alternating windows")
        if not self.program.exists():
            say("  SKIPPED: examples/hello_go is not built (Go 1.21 or later: make -C examples/hello_go)")
            return
        bench.results["versions"]["go"] = interpreter_version(["go", "version"])
        hearth = Hearth(bench.options.binary, bench.server_core, [ROOT / "examples/hello_go", ROOT / "examples/hello_c"], CONFIG)
        try:
            targets = [Target(f"{name}", hearth, INVOKE.format(name)) for name in ("hello_go", "hello_c")]
            for target in targets:
                target.wrk(bench.load_core, 8, 1, check=True)
            rounds = []
            for _ in range(bench.size["pairs"]):
                rounds.append([target.wrk(bench.load_core, 64, bench.size["window"])["rps"] for target in targets] + [self.floor()])
            one = [[target.wrk(bench.load_core, 1, bench.size["window"])["rps"] for target in targets] for _ in range(bench.size["pairs"])]
        finally:
            hearth.close()
        bench.results["rows"]["runtime_api"] = {"rates": rounds, "rates_one_connection": one}
        go, c, floor = (statistics.median(column) for column in zip(*rounds))
        say(f"  aws-lambda-go {go:.0f}, C worker {c:.0f}, the same Go program on a bare server {floor:.0f}")
        bench.bar("aws-lambda-go / C worker, calls a second at 64 connections", [a / b for a, b, _ in rounds], RATE_BAR, True)
        bench.bar("aws-lambda-go / C worker, calls a second at one connection", [a / b for a, b in one], RATE_BAR, True)
        say(f"  {statistics.median(a / b for a, _, b in rounds):.2f} of the bare server, which itself is {floor / c:.2f} of the C worker")
