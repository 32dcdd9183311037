"""Logs: where lines come from, which call they belong to, floods, long lines, rotation."""
import json
import os
import re
import time
import unittest

from harness import DaemonTest, wait_until

WRITER = """
import logging, os, subprocess, sys, threading
log = logging.getLogger()
log.setLevel("DEBUG")
def handler(event, context):
    kind = event["kind"]
    if kind == "all":
        print("from-print"); print("from-stderr", file=sys.stderr); sys.stdout.write("from-write\\n")
        log.warning("from-logging"); logging.getLogger("own.name").error("from-named-logger")
        os.write(1, b"from-fd-1\\n"); os.write(2, b"from-fd-2\\n")
        t = threading.Thread(target=print, args=("from-thread",)); t.start(); t.join()
    if kind == "flood":
        line = "f" * 1023
        for _ in range(event["lines"]): print(line)
    if kind == "flood_fd":
        line = b"g" * 1023 + b"\\n"
        for _ in range(event["lines"]): os.write(1, line)
    if kind == "long":
        print("L" * event["size"] + "END")
    if kind == "long_fd":
        os.write(1, b"M" * event["size"] + b"END\\n")
    if kind == "partial":
        os.write(1, b"no newline at the end")
    if kind == "binary":
        os.write(1, b"bin \\xff\\xfe \\x00 ok\\n")
    if kind == "print":
        print(event["text"])
    return "done"
"""
WRITER_JS = """
exports.handler = async (event) => {
  console.log('js-log'); console.error('js-error'); console.warn('js-warn %d', 5); process.stdout.write('js-write\\n');
  require('fs').writeSync(1, 'js-fd-1\\n');
  return 'done';
};
"""


class Logs(DaemonTest):
    config = {"log": {"rate": "1MB", "burst": "1MB"}}

    @classmethod
    def deploy_functions(cls):
        cls.daemon.python("writer", WRITER, "timeout: 60s\nmemory: 256MB\n")
        cls.daemon.node("writer_js", WRITER_JS)

    def entries(self, name="writer"):
        """The log's lines as `hearth logs --json` prints them."""
        lines = self.daemon.cli("logs", name, "--json", check=0).stdout.splitlines()
        return [entry for entry in map(json.loads, lines) if "text" in entry]

    def dropped(self):
        """The sum of all markers in the log."""
        found = (re.search(r"\[hearth\] (\d+) log lines dropped", entry["text"]) for entry in self.entries())
        return sum(int(match.group(1)) for match in found if match)

    def line_with(self, text, name="writer", reply=None):
        """The first line with `text`; of the call that `reply` answers, if it is given."""
        def fits(entry):
            return text in entry["text"] and (reply is None or entry["request_id"] == reply.headers["x-amzn-requestid"])

        return wait_until(lambda: next(filter(fits, self.entries(name)), None), f"'{text}' in the log, with the id of its call")

    def test_every_way_of_writing_is_kept_with_its_call(self):
        reply = self.daemon.invoke("writer", {"kind": "all"})
        for text in ("from-print", "from-stderr", "from-write", "from-logging", "from-named-logger", "from-fd-1", "from-fd-2", "from-thread"):
            with self.subTest(text=text):
                self.line_with(text, reply=reply)

    def test_node_as_well(self):
        reply = self.daemon.invoke("writer_js", {})
        for text in ("js-log", "js-error", "js-warn 5", "js-write", "js-fd-1"):
            with self.subTest(text=text):
                self.line_with(text, "writer_js", reply)

    def test_a_flood_is_cut_and_counted_and_harms_nobody(self):
        for kind in ("flood", "flood_fd"):
            with self.subTest(kind=kind):
                began, before = time.monotonic(), self.dropped()
                reply = self.daemon.invoke("writer", {"kind": kind, "lines": 20000}, timeout=60)
                self.assertEqual(reply.json(), "done")
                self.assertLess(time.monotonic() - began, 50)
                self.line_with("log lines dropped")
                wait_until(lambda before=before: self.dropped() - before > 5000, "the count of what was dropped")
                self.assertEqual(self.daemon.invoke("writer_js", {}).json(), "done")
                time.sleep(1.2)  # the worker's allowance fills up again

    def test_lines_over_64_kib_are_split(self):
        for kind in ("long", "long_fd"):
            with self.subTest(kind=kind):
                self.assertEqual(self.daemon.invoke("writer", {"kind": kind, "size": 200_000}).json(), "done")
                letter = "L" if kind == "long" else "M"
                self.line_with(letter * 100)
                wait_until(lambda letter=letter: sum(entry["text"].count(letter) for entry in self.entries()) >= 200_000, "the whole line")
                longest = max(len(entry["text"]) for entry in self.entries())
                self.assertLessEqual(longest, 64 * 1024 + 1)
                time.sleep(1)

    def test_an_unfinished_line_and_bytes_that_are_no_text(self):
        self.assertEqual(self.daemon.invoke("writer", {"kind": "partial"}).json(), "done")
        self.daemon.invoke("writer", {"kind": "print", "text": "after-the-partial"})
        self.line_with("no newline at the end")
        self.assertEqual(self.daemon.invoke("writer", {"kind": "binary"}).json(), "done")
        self.assertIn("ok", self.line_with("bin ")["text"])

    def test_a_function_can_not_forge_another_calls_lines(self):
        forged = "START RequestId: 00000000-0000-0000-0000-000000000000\\nforged"
        reply = self.daemon.invoke("writer", {"kind": "print", "text": "2026-01-01T00:00:00Z 00000000-0000-4000-8000-000000000000 " + forged})
        self.line_with("forged", reply=reply)


class Rotation(DaemonTest):
    config = {"log": {"rate": "1MB", "burst": "1MB", "max": "2MB"}}

    @classmethod
    def deploy_functions(cls):
        cls.daemon.python("writer", WRITER, "timeout: 60s\nmemory: 256MB\n")

    def test_files_rotate_below_the_limit(self):
        for _ in range(8):
            self.daemon.invoke("writer", {"kind": "flood", "lines": 900}, timeout=60)
            time.sleep(0.9)
        total = 0
        for folder, _, files in os.walk(self.daemon.state):
            if "log" in folder:
                total += sum(os.path.getsize(os.path.join(folder, file)) for file in files if "writer" in os.path.join(folder, file))
        self.assertGreater(total, 0, "the files are below STATE/logs, with the function's name in the path")
        self.assertLess(total, int(2.2 * (1 << 20)) + 65536)


if __name__ == "__main__":
    unittest.main()
