"""The catalogue of attacks: every case by its number, and what waits for a layer that is not there yet."""
import pathlib

import catalogue_engine
import catalogue_files
import catalogue_kernel
import catalogue_network

CASES = sorted([*catalogue_kernel.CASES, *catalogue_kernel.FURTHER, *catalogue_files.CASES, *catalogue_files.FURTHER, *catalogue_network.CASES,
                *catalogue_engine.CASES, *catalogue_engine.FURTHER],
               key=lambda case: case.number)

# What the finished system has and this one has not: (modes, what is missing). SKIPPED with
# that reason until it is there; a case that passes all the same has failed, so that its mark goes.
ALL = ("strict", "user", "degraded")
WAITS_FOR = {}


def waits_for(case, mode):
    """What the case waits for in a mode, or ""."""
    modes, missing = WAITS_FOR.get(case.number, ((), ""))
    return missing if mode in modes else ""


README = pathlib.Path(__file__).resolve().parents[2] / "sandbox/README.md"
BEGIN, END = "<!-- hostile catalogue: tests/hostile/run.py --table markdown -->\n", "<!-- end of the hostile catalogue -->\n"


def cell(case, mode):
    """An outcome as the table shows it; the same as in strict mode is a quote mark."""
    text = case.expected(mode)
    if mode != "strict" and text == case.expected("strict"):
        return "\""
    return text.replace("|", " or ")


def control_text(case):
    if case.attempts:
        return "bare: reaches the kernel"
    where = {"off": "sandbox off", "benign": "harmless twin", "function": "bare"}[case.control_by]
    return f"{where}: {case.control}"


def table():
    """The catalogue as the README shows it: what is expected, which run.py compares with what happens."""
    lines = ["| no. | attack | in | strict | user | degraded | control |", "|---|---|---|---|---|---|---|"]
    for case in CASES:
        waits = f" (not yet: {WAITS_FOR[case.number][1]})" if case.number in WAITS_FOR else ""
        lines.append(f"| {case.number} | {case.title}{waits} | {case.languages} | {cell(case, 'strict')} | {cell(case, 'user')} | {cell(case, 'degraded')} "
                     f"| {control_text(case)} |")
    return "\n".join(lines) + "\n"


def write_table():
    """Puts the table between its marks in the README of sandbox/."""
    text = README.read_text()
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    README.write_text(text[:begin] + table() + text[end:])


def table_problems():
    """What the README's table lacks or has too much; for the structure check."""
    text = README.read_text()
    if BEGIN not in text or END not in text:
        return ["sandbox/README.md: the hostile catalogue has no marks"]
    kept = text[text.index(BEGIN) + len(BEGIN):text.index(END)]
    numbers = [case.number for case in CASES]
    problems = [] if kept == table() else ["sandbox/README.md: the hostile catalogue is not the current one: tests/hostile/run.py --table markdown"]
    missing = sorted(set(range(1, 96)) - set(numbers))
    if missing:
        problems.append(f"tests/hostile: no case {missing}")
    if len(numbers) != len(set(numbers)):
        problems.append("tests/hostile: a number is there twice")
    return problems
