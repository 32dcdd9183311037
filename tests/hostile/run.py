#!/usr/bin/python3
"""Runs the hostile catalogue: each case in each mode through a daemon, each with its control run, and prints the table.

    run.py [--mode MODE]... [--only N]... [--bin HEARTH] [--table markdown] [--jobs N]

MODE: strict, user, degraded (default: all that this machine allows). The last line is "N passed, N failed, N skipped": one for each case and
mode, and one for each control. A case whose control does not show the attempt succeeding has failed. `--table markdown` writes the table
of the README of sandbox/ between its marks, from the catalogue. HEARTH_TEST_SCALE sets the rounds of cases that have rounds.
"""
import argparse
import concurrent.futures
import os
import pathlib
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", action="append", choices=("strict", "user", "degraded"))
    parser.add_argument("--only", action="append", type=int, default=[])
    parser.add_argument("--bin")
    parser.add_argument("--table", choices=("markdown",))
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--show", action="store_true", help="print every outcome")
    return parser.parse_args()


ARGUMENTS = parse()
if ARGUMENTS.bin:
    os.environ["HEARTH_BIN"] = str(pathlib.Path(ARGUMENTS.bin).resolve())

sys.path.insert(0, str(HERE.parent / "integration"))
import catalogue  # noqa: E402
import checks  # noqa: E402
from case import MODES, fits, reaches  # noqa: E402
from harness import HEARTH, IS_ROOT, user_mode_problem  # noqa: E402
from rig import Rig, bare, build_probe  # noqa: E402

LANGUAGES = ("native", "python", "node")


class Results:
    """Lines as they come, and the totals."""

    def __init__(self):
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        self.failed = []

    def add(self, kind, what, text=""):
        self.counts[kind] += 1
        if kind == "failed":
            self.failed.append(what)
        if kind != "passed" or ARGUMENTS.show:
            print(f"{kind} hostile {what}{': ' + text if text else ''}", flush=True)

    def total(self):
        return ", ".join(f"{self.counts[kind]} {kind}" for kind in ("passed", "failed", "skipped"))


RESULTS = Results()


def judge_attempts(case, mode, language, outcomes):
    """Problems of one language's run."""
    return [f"{language}: {attempt.text} = {outcome}, not {attempt.expected(mode)}" for attempt, outcome in zip(case.attempts, outcomes)
            if not fits(outcome, attempt.expected(mode))]


def run_attempts(rig, case):
    """Each language's run in a function of its own, or in the shared one where the case harms no other."""
    problems = []
    texts = [rig.fill_in(attempt.text) for attempt in case.attempts]
    for language in LANGUAGES if "Python" in case.languages else ("native",):
        name = rig.fresh(language, "timeout: 60s\nmemory: 256MB\n")
        try:
            outcomes = rig.attempts(name, language, texts)
        finally:
            rig.delete(name)
        if ARGUMENTS.show:
            print(case.number, language, list(zip(texts, outcomes)), flush=True)
        problems += judge_attempts(case, rig.mode, language, outcomes)
    return problems


def run_check(rig, case):
    try:
        outcome = getattr(checks, case.check)(rig)
    except AssertionError as error:
        if "is not available in this engine" not in str(error):  # words of a deploy that asks for what the mode has not
            raise
        outcome = "refused at deploy"
    if ARGUMENTS.show:
        print(case.number, case.check, outcome, flush=True)
    return [] if fits(outcome, case.expected(rig.mode)) else [f"{outcome}, not {case.expected(rig.mode)}"]


def run_case(rig, case):
    """One case in one mode; adds its result."""
    what = f"{case.number} {case.title} ({rig.mode})"
    began = time.monotonic()
    try:
        problems = run_attempts(rig, case) if case.attempts else run_check(rig, case)
    except Exception as error:  # pylint: disable=broad-except  # whatever a check does, the others go on
        problems = [f"{type(error).__name__}: {error}"] if isinstance(error, AssertionError) else [traceback.format_exc()[-1500:]]
    harm = rig.harmed()
    if harm:
        problems.append(harm)
    waits = catalogue.waits_for(case, rig.mode)
    if problems and waits and not harm:
        RESULTS.add("skipped", what, f"not contained yet, waits for {waits}: {'; '.join(problems)}")
        return
    if waits and not problems:
        problems.append(f"passes, but is marked as waiting for {waits}: remove the mark")
    RESULTS.add("failed" if problems else "passed", what, "; ".join(problems))
    if ARGUMENTS.show or time.monotonic() - began > 10:
        print(f"     {case.number} took {time.monotonic() - began:.1f} s", flush=True)


def run_mode(mode, cases):
    with Rig(mode) as rig:
        with concurrent.futures.ThreadPoolExecutor(ARGUMENTS.jobs) as pool:
            list(pool.map(lambda case: run_case(rig, case), [case for case in cases if not case.alone]))
        for case in cases:
            if case.alone:
                run_case(rig, case)
        benign(rig, cases)
        print(f"{mode}: {rig.neighbour.calls} calls of the neighbour, the slowest took {rig.neighbour.slowest * 1000:.0f} ms", flush=True)
    RESULTS.add("failed" if rig.failures else "passed", f"engine, neighbour and machine untouched ({mode})", "; ".join(rig.failures))


def control(case, action):
    """Runs one control and judges its outcome."""
    what = f"{case.number} {case.title} (control)"
    try:
        outcome = action()
        good = fits(outcome, case.control)
        RESULTS.add("passed" if good else "failed", what, "" if good else f"{outcome}, not {case.control}: the attempt does not show to work")
    except Exception:  # pylint: disable=broad-except
        RESULTS.add("failed", what, traceback.format_exc()[-1500:])


def benign(rig, cases):
    """The harmless twins, once: in the first mode that runs."""
    if rig.mode != wanted_modes()[0]:
        return
    for case in cases:
        if case.control_by == "benign":
            control(case, lambda case=case: getattr(checks, case.check)(rig, benign=True))


def control_attempts(case, rig):
    """The attempts bare, as root: each must reach the kernel."""
    texts = [rig.fill_in(attempt.control_text or attempt.text) for attempt in case.attempts]
    outcomes = bare(rig.probe, texts)
    if ARGUMENTS.show:
        print(case.number, "control", list(zip(texts, outcomes)), flush=True)
    if len(outcomes) != len(texts):
        return [f"{len(outcomes)} outcomes for {len(texts)} attempts"]
    return [f"bare: {text} = {outcome}, which does not show that it works" for attempt, text, outcome in zip(case.attempts, texts, outcomes)
            if not reaches(outcome, attempt)]


def run_controls(cases):
    """The controls that need no sandbox: bare processes, and an engine with the sandbox off."""
    with Rig("off") as rig:
        for case in cases:
            if case.attempts:
                problems = control_attempts(case, rig)
                RESULTS.add("failed" if problems else "passed", f"{case.number} {case.title} (control)", "; ".join(problems))
            elif case.control_by == "function":
                control(case, lambda case=case: getattr(checks, case.check + "_control")(rig))
            elif case.control_by == "off":
                control(case, lambda case=case: getattr(checks, case.check)(rig))
    if rig.failures:
        print("after the controls:", "; ".join(rig.failures))


def wanted_modes():
    modes = list(ARGUMENTS.mode or MODES)
    if not IS_ROOT and "strict" in modes:
        modes.remove("strict")
    if user_mode_problem() and "user" in modes:
        modes.remove("user")
    return modes


def main():
    if ARGUMENTS.table:
        catalogue.write_table()
        return 0
    if not HEARTH.exists():
        print(f"{HEARTH} is not built: cmake --preset release && cmake --build --preset release\n0 passed, 1 failed, 0 skipped")
        return 1
    if os.uname().machine != "x86_64":
        print("skipped hostile: the numbers of system calls in the catalogue are those of x86_64\n0 passed, 0 failed, 1 skipped")
        return 0
    cases = [case for case in catalogue.CASES if not ARGUMENTS.only or case.number in ARGUMENTS.only]
    for mode in MODES:
        if mode not in wanted_modes() and not ARGUMENTS.mode:
            RESULTS.add("skipped", f"all cases ({mode})", user_mode_problem() if mode == "user" else "needs root")
    build_probe()
    for mode in wanted_modes():
        run_mode(mode, cases)
    if IS_ROOT:
        run_controls(cases)
    else:
        RESULTS.add("skipped", "the controls", "they need root, to show what a layer stops")
    print(RESULTS.total())
    return 1 if RESULTS.counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
