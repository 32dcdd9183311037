#!/usr/bin/python3
"""Sums up a ctest run: ctest_report.py JUNIT.xml. Prints what failed with its output, what was skipped and why, and the totals.

A Catch2 or a unittest program is one ctest entry and many test cases; the cases are what is counted.
"""
import re
import sys
import xml.etree.ElementTree

OUTPUT_MAX = 8000


def catch_counts(output):
    """(passed, failed) test cases of a Catch2 program's output, or None."""
    found = re.findall(r"All tests passed \(.* in (\d+) test cases?\)", output)
    if found:
        return int(found[-1]), 0
    found = re.findall(r"^test cases:\s*(\d+)(.*)$", output, re.MULTILINE)
    if not found:
        return None
    total, rest = int(found[-1][0]), found[-1][1]
    failed = re.search(r"(\d+) failed", rest)
    failed = int(failed.group(1)) if failed else 0
    return total - failed, failed


def unittest_counts(output):
    """(passed, failed, skipped) of a Python unittest program's output, or None."""
    ran = re.findall(r"^Ran (\d+) tests? in ", output, re.MULTILINE)
    end = re.findall(r"^(?:OK|FAILED)(?: \((.*)\))?$", output, re.MULTILINE)
    if not ran or not end:
        return None
    numbers = {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", end[-1])}
    failed = numbers.get("failures", 0) + numbers.get("errors", 0)
    skipped = numbers.get("skipped", 0)
    # A module that is skipped as a whole counts as one, and has run nothing.
    return max(0, int(ran[-1]) - failed - skipped), failed, skipped


def main():
    passed = failed = skipped = 0
    for case in xml.etree.ElementTree.parse(sys.argv[1]).getroot().iter("testcase"):
        name, output = case.get("name"), case.findtext("system-out") or ""
        counts = catch_counts(output)
        skip = case.find("skipped")
        if skip is not None or case.get("status") in ("notrun", "disabled"):
            skipped += 1
            print(f"    skipped {name}: {(skip.get('message') if skip is not None else '') or output.strip()[-200:]}")
            continue
        broken = case.find("failure") is not None or case.get("status") == "fail"
        ok, bad, left_out = unittest_counts(output) or (*(counts or (0 if broken else 1, 1 if broken else 0)), 0)
        if broken and bad == 0:  # it crashed or ran out of time behind its summary, or without one
            bad = 1
        passed, failed, skipped = passed + ok, failed + bad, skipped + left_out
        reasons = re.findall(r"skipped '(.*)'$", output, re.MULTILINE)
        note = f", {left_out} skipped: {'; '.join(sorted(set(reasons)))}" if left_out else ""
        print(f"    {'failed ' if bad else 'passed '} {name}: {ok + bad} cases, {float(case.get('time') or 0):.1f} s{note}")
        if bad:
            print(f"--- {name}\n{output[-OUTPUT_MAX:]}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or passed + skipped == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
