#!/usr/bin/python3
"""Runs the integration tests: test files at the same time, each in its own process. Prints progress, the output of what fails, and totals.

    run.py [--jobs N] [--only WORD] [--skip WORD] [--report FILE] [--bin HEARTH]

--only and --skip may be repeated; each is a part of "file.Class.test". --report writes JUnit XML.
The last line is "N passed, N failed, N skipped".
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import signal
import subprocess
import sys
import unittest
import xml.sax.saxutils

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tools"))
from recorder import run_suite, tests_of, totals  # noqa: E402
ALONE = {"test_load", "test_loop_turns"}  # they measure, and want the machine for themselves: last, one by one
FILE_TIMEOUT = 900  # seconds for one file at scale 1/20; grows with the scale


def wanted(name, only, skip):
    return (not only or any(word in name for word in only)) and not any(word in name for word in skip)


def run_one(file, only, skip, out):
    """In a child process: runs one file and writes its records to `out` as JSON."""
    sys.path.insert(0, str(HERE))
    suite = unittest.defaultTestLoader.loadTestsFromName(file)
    chosen = unittest.TestSuite()
    for test in tests_of(suite):
        if wanted(test.id(), only, skip):
            chosen.addTest(test)
    pathlib.Path(out).write_text(json.dumps(run_suite(chosen)))


def start_file(file, arguments, folder, timeout):
    """Runs one file in its own process group; returns (file, records, output)."""
    out = folder / f"{file}.json"
    out.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--one", file, "--out", str(out)]
    for word in arguments.only:
        command += ["--only", word]
    for word in arguments.skip:
        command += ["--skip", word]
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                             start_new_session=True)
    try:
        output, _ = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        output, _ = child.communicate()
        return file, [(f"{file} (whole file)", "failed", timeout, f"not done after {timeout} s\n{output[-4000:]}")], output
    if not out.exists():
        return file, [(f"{file} (whole file)", "failed", 0, f"the test process ended with {child.returncode}\n{output[-4000:]}")], output
    return file, json.loads(out.read_text()), output


def runs(group):
    """Is this the group of a spawner that is alive? Then it is of a daemon beside these tests: their own processes are looked for by each test."""
    pid = group.rpartition("-")[2]
    return pid.isdigit() and os.path.exists(f"/proc/{pid}")


def leftovers():
    """What a daemon could leave behind outside of its own folders."""
    found = {line.split()[1] for line in open("/proc/mounts", encoding="utf-8") if "hearth" in line}
    for root, folders, _ in os.walk("/sys/fs/cgroup"):
        found |= {os.path.join(root, name) for name in folders if "hearth" in name and not runs(name)}
    return found | {str(path) for path in pathlib.Path("/dev/shm").glob("*hearth*")}


def write_junit(path, records):
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<testsuite name="integration">']
    for name, outcome, seconds, text in records:
        lines.append(f'  <testcase name={xml.sax.saxutils.quoteattr(name)} time="{seconds}">')
        clean = "".join(c for c in text if c >= " " or c in "\n\t")
        if outcome == "failed":
            lines.append(f"    <failure>{xml.sax.saxutils.escape(clean)}</failure>")
        if outcome == "skipped":
            lines.append(f"    <skipped message={xml.sax.saxutils.quoteattr(clean)}/>")
        lines.append("  </testcase>")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, "</testsuite>", ""]))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--skip", action="append", default=[])
    parser.add_argument("--report", type=pathlib.Path, default=HERE.parents[1] / "build/reports/integration.xml")
    parser.add_argument("--bin", help="the daemon to test (default build/release/hearth)")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--out", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    arguments = parse()
    if arguments.bin:
        os.environ["HEARTH_BIN"] = str(pathlib.Path(arguments.bin).resolve())
    if arguments.one:
        run_one(arguments.one, arguments.only, arguments.skip, arguments.out)
        return 0
    binary = pathlib.Path(os.environ.get("HEARTH_BIN", HERE.parents[1] / "build/release/hearth"))
    if not binary.exists():
        print(f"{binary} is not built: cmake --preset release && cmake --build --preset release\n0 passed, 1 failed, 0 skipped")
        return 1
    arguments.report.parent.mkdir(parents=True, exist_ok=True)
    files = sorted(path.stem for path in HERE.glob("test_*.py"))
    together, alone = [f for f in files if f not in ALONE], [f for f in files if f in ALONE]
    scale = float(os.environ.get("HEARTH_TEST_SCALE", "0.05"))
    timeout = int(FILE_TIMEOUT * max(1.0, scale * 8) * float(os.environ.get("HEARTH_TEST_PATIENCE", "1")))
    before = leftovers()
    records = []

    def done(file, found, output):
        records.extend(found)
        if found or output:
            failed = sum(record[1] == "failed" for record in found)
            print(f"{file}: {len(found)} tests, {failed} failed", flush=True)
        if output:
            print(output, end="", flush=True)
        for name, outcome, _, text in found:
            if outcome == "failed":
                print(f"--- {name}\n{text}", flush=True)

    for names, jobs in ((together, arguments.jobs), (alone, 1)):
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            futures = [pool.submit(start_file, name, arguments, arguments.report.parent, timeout) for name in names]
            for future in concurrent.futures.as_completed(futures):
                done(*future.result())
    left = leftovers() - before
    if left:
        records.append(("leftovers", "failed", 0, f"after all tests there are {sorted(left)}"))
        print(f"--- leftovers: {sorted(left)}")
    write_junit(arguments.report, records)
    line, code = totals(records)
    print(line)
    return code


if __name__ == "__main__":
    sys.exit(main())
