"""A unittest result that keeps one record a test and prints each as it ends. Used by the runners in tests/."""
import io
import time
import unittest


class Recorder(unittest.TextTestResult):
    """Keeps one record a test: (name, outcome, seconds, text)."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.records = []
        self._began = 0.0

    def startTest(self, test):
        self._began = time.monotonic()
        super().startTest(test)

    def record(self, test, outcome, text=""):
        seconds = time.monotonic() - self._began if self._began else 0.0
        self.records.append((test.id(), outcome, round(seconds, 2), text))
        print(f"    {outcome:7} {test.id()} ({seconds:.1f} s){': ' + text if outcome == 'skipped' else ''}", flush=True)

    def addSuccess(self, test):
        self.record(test, "passed")

    def addSkip(self, test, reason):
        self.record(test, "skipped", reason)

    def addFailure(self, test, err):
        self.record(test, "failed", self._exc_info_to_string(err, test))

    addError = addFailure

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.addFailure(subtest, err)


def tests_of(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests_of(item)
        else:
            yield item


def run_suite(suite):
    """Runs the tests and returns their records."""
    result = Recorder(unittest.runner._WritelnDecorator(io.StringIO()), False, 0)
    suite.run(result)
    return result.records


def totals(records):
    """The line that ends a run, and its exit code."""
    counts = {kind: sum(record[1] == kind for record in records) for kind in ("passed", "failed", "skipped")}
    line = f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped"
    return line, 1 if counts["failed"] or not records else 0
