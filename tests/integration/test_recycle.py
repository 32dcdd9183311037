"""recycle.max_rss and the reported peak: the memory of all of a sandbox, not of its worker alone."""
import base64
import json
import re
import unittest

from harness import DaemonTest, wait_until

# What it starts holds 60 MiB; the worker itself stays small.
FUNCTION = """
import os, subprocess, sys
CHILD = "import sys, time; held = bytearray(60 << 20); print(1, flush=True); time.sleep(600)"
children = []

def handler(event, context):
    if event == "child":
        child = subprocess.Popen([sys.executable, "-c", CHILD], stdout=subprocess.PIPE)
        child.stdout.readline()
        children.append(child)
    if event == "file":
        with open("/tmp/held", "wb") as held:
            held.write(bytes(60 << 20))
    return os.getpid(), len(children)
"""


class Memory(DaemonTest):
    shared = False

    def setUp(self):
        self.daemon = self.own_daemon()
        if not self.daemon.metrics()['hearth_sandbox_layer{layer="cgroup_memory"}']:
            self.skipTest("no memory cgroup here: the worker's own memory is what counts")

    def deploy(self, name, max_rss):
        self.daemon.python(name, FUNCTION, json.dumps({"memory": "256MB", "timeout": "20s", "zygote": "off", "recycle": {"max_rss": max_rss},
                                                       "concurrency": {"workers_max": 1}}))

    def recycled(self):
        return self.daemon.metrics()['hearth_worker_recycles_total{reason="memory"}']

    def test_what_children_and_files_hold_counts(self):
        self.deploy("large", "250MB")
        stays = self.daemon.invoke("large", "child").json()
        for count, held in enumerate(("child", "file"), 1):
            self.deploy(held, "40MB")
            self.daemon.invoke(held, held)
            wait_until(lambda count=count: self.recycled() == count, f"the end of a worker by the memory of a {held}", 15)
            self.assertEqual(self.daemon.invoke(held).json()[1], 0)  # another one
        self.assertEqual(self.daemon.invoke("large").json(), stays)  # each round looked at it, too
        self.assertEqual(self.recycled(), 2)

    def test_the_reported_figure_is_that_of_the_sandbox(self):
        self.deploy("told", "250MB")

        def told(event):
            reply = self.daemon.invoke("told", event, headers={"X-Amz-Log-Type": "Tail"})
            report = base64.b64decode(reply.headers["x-amz-log-result"]).decode()
            return int(re.search(r"Max Memory Used: (\d+) MB", report)[1])

        self.assertLess(told(None), 60)
        self.assertGreater(told("child"), 60)


if __name__ == "__main__":
    unittest.main()
