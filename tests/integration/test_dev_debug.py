"""`hearth dev --debug`, as a debugger has it: the Node inspector's protocol and debugpy's, through the relay into the worker's network."""
import http.client
import json
import os
import subprocess
import threading
import unittest

from debug_clients import Debugpy, Inspector
from harness import EXIT, HEARTH, PATIENCE
from test_dev import NODE, PY, Dev, Work, free_port, save


class Debugger(Work):
    def test_the_inspector_of_a_confined_node_worker_is_at_the_port(self):
        self.write("js/index.mjs", NODE.format("x"))
        port = free_port()
        dev = Dev(self, self.work / "js", "--debug", str(port)).ready()
        self.assertIn("sandbox: " + ("strict" if os.geteuid() == 0 else "user"), dev.shown)

        def targets():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10 * PATIENCE)
            try:
                connection.request("GET", "/json/list")
                return json.loads(connection.getresponse().read())
            finally:
                connection.close()

        before = targets()[0]["webSocketDebuggerUrl"]
        self.assertIn(f":{port}/", before)
        save(self.work / "js/index.mjs", NODE.format("y"))
        dev.serves("y")
        self.assertNotEqual(targets()[0]["webSocketDebuggerUrl"], before, "the worker of the new code")
        dev.key(b"\x03")
        self.assertEqual(dev.process.wait(10 * PATIENCE), 0)
        self.assert_nothing_left()

    def test_the_debugger_answers_once_it_is_said_to_be_open(self):
        """Whoever connects waits until the worker's own inspector listens, whether or not the code has loaded."""
        port = free_port()
        self.write("js/index.mjs", "const end = Date.now() + 3000;\nwhile (Date.now() < end);\n" + NODE.format("x"))
        dev = Dev(self, self.work / "js", "--debug", str(port)).wait(f"the debugger is open at 127.0.0.1:{port}")
        debugger = Inspector(port)
        self.addCleanup(debugger.close)
        dev.ready()
        self.assertNotIn("js loaded", dev.shown, "ready while the code loads")
        second = Inspector(port)
        second.close()
        debugger.ask("Runtime.enable")
        dev.serves("x")

    def called(self, dev, path):
        """A call in the background, and a function that waits for its text."""
        replies = []
        caller = threading.Thread(target=lambda: replies.append(dev.get(path, timeout=60).text), daemon=True)
        caller.start()

        def reply():
            caller.join(30 * PATIENCE)
            return replies[0] if replies else None
        return reply

    def test_a_breakpoint_in_a_node_function(self):
        self.write("js/index.mjs", "export const handler = async (event) => {\n  const answer = event.rawPath.length;\n"
                                   "  return {statusCode: 200, body: `got ${answer}`};\n};\n")
        port = free_port()
        dev = Dev(self, self.work / "js", "--debug", str(port)).ready()
        debugger = Inspector(port)
        self.addCleanup(debugger.close)
        debugger.ask("Runtime.enable")
        debugger.ask("Debugger.enable")
        place = debugger.ask("Debugger.setBreakpointByUrl", lineNumber=2, urlRegex=r".*/index\.mjs$")
        self.assertEqual(len(place["locations"]), 1, "the code is loaded and the line is in it")
        reply = self.called(dev, "/four")
        frame = debugger.event("Debugger.paused")["callFrames"][0]
        self.assertEqual(frame["location"]["lineNumber"], 2)
        found = debugger.ask("Debugger.evaluateOnCallFrame", callFrameId=frame["callFrameId"], expression="answer * 100")
        self.assertEqual(found["result"]["value"], 500)
        debugger.ask("Debugger.evaluateOnCallFrame", callFrameId=frame["callFrameId"], expression="event.rawPath = 'changed'")
        debugger.ask("Debugger.resume")
        self.assertEqual(reply(), "got 5")
        debugger.ask("Debugger.removeBreakpoint", breakpointId=place["breakpointId"])
        self.assertEqual(dev.get("/").text, "got 1")

    def test_a_breakpoint_in_a_python_function(self):
        app = self.write("py/app.py", "def handler(event, context):\n    answer = len(event['rawPath'])\n    return f'got {answer}'\n")
        self.install_debugpy(self.work / "py")
        port = free_port()
        dev = Dev(self, self.work / "py", "--debug", str(port)).ready().wait("py loaded", 30)
        debugger = Debugpy(port)
        self.addCleanup(debugger.close)
        debugger.ask("initialize", adapterID="test", pathFormat="path", linesStartAt1=True)
        attach = debugger.begin("attach", pathMappings=[{"localRoot": str(app.parent), "remoteRoot": "/var/task"}])
        debugger.event("initialized")
        place = debugger.ask("setBreakpoints", source={"path": str(app)}, breakpoints=[{"line": 3}])
        self.assertTrue(place["breakpoints"][0]["verified"], place)
        debugger.ask("configurationDone")
        debugger.end(attach)
        reply = self.called(dev, "/four")
        thread = debugger.event("stopped")["threadId"]
        frame = debugger.ask("stackTrace", threadId=thread)["stackFrames"][0]
        self.assertEqual((frame["line"], frame["source"]["path"]), (3, str(app)))
        self.assertEqual(debugger.ask("evaluate", expression="answer * 100", frameId=frame["id"])["result"], "500")
        debugger.ask("continue", threadId=thread)
        self.assertEqual(reply(), "got 5")

    def install_debugpy(self, folder):
        """As the refusal of --debug says; without a package index there is nothing to test."""
        if os.path.isdir("/usr/lib/python3/dist-packages/debugpy"):
            return
        done = subprocess.run(["/usr/bin/python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore",
                               "--target", str(folder), "debugpy"], capture_output=True, text=True, timeout=120 * PATIENCE, check=False)
        if done.returncode != 0:
            self.skipTest("debugpy can't be installed: " + (done.stderr.strip().splitlines() or ["no reason"])[-1])

    def test_what_can_not_be_debugged_is_refused_with_the_reason(self):
        self.write("py/app.py", PY.format("x"))
        self.write("two/a/app.py", PY.format("x"))
        self.write("two/b/app.py", PY.format("x"))
        cases = [("two", (), "one function")]
        if not os.path.isdir("/usr/lib/python3/dist-packages/debugpy"):
            cases.append(("py", (), "-m pip install --target"))
        for folder, arguments, text in cases:
            done = subprocess.run([str(HEARTH), "dev", str(self.work / folder), "--port", "0", "--debug", str(free_port()), *arguments],
                                  capture_output=True, text=True, timeout=20 * PATIENCE, env=self.environment(), check=False)
            self.assertEqual(done.returncode, EXIT["usage"])
            self.assertIn(text, done.stderr)
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main()
