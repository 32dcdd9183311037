#!/usr/bin/python3
"""The dynamic symbols of libhearth.so are exactly those of symbols.txt, and what it asks of others is libc's.

    symbols_test.py LIBRARY
"""
import pathlib
import re
import subprocess
import sys

LISTED = set((pathlib.Path(__file__).parent / "symbols.txt").read_text().split())
NEEDED = {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "libpthread.so.0", "libdl.so.2", "librt.so.1"}


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main(library):
    shown = {line.split()[-1].split("@")[0] for line in output("nm", "-D", "--defined-only", library).splitlines() if line.split()[-2] != "A"}
    dynamic = output("readelf", "-dW", library)
    needed = set(re.findall(r"\(NEEDED\)\s+Shared library: \[([^\]]+)\]", dynamic))
    problems = [f"{name} is listed and not exported: programs that use it do not start any more" for name in sorted(LISTED - shown)]
    problems += [f"{name} is exported and not listed: hide it, or add it to symbols.txt" for name in sorted(shown - LISTED)]
    problems += [f"{name} is needed: the library should need libc and libm only" for name in sorted(needed - NEEDED) if "san" not in name]
    if "(SONAME)" not in dynamic or "[libhearth.so.1]" not in dynamic:
        problems.append("the SONAME is not libhearth.so.1")
    print("\n".join(problems) or f"{len(shown)} symbols, as listed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
