"""What the rows of cold.py share: functions that are written for one measurement, one connection a call, and waits for a daemon at rest."""
import json
import os
import pathlib
import re
import shutil
import socket
import tempfile
import time

from servers import INVOKE, wait_for

MODULES = 2000
HELLO = {
    "python": ("app.py", "def handler(event, context):\n    return {'message': 'Hello ' + event['name'], 'number': NUMBER}\n"),
    "commonjs": ("index.js", "exports.handler = async (event) => ({ message: 'Hello ' + event.name, number: NUMBER });\n"),
    "esm": ("index.mjs", "export const handler = async (event) => ({ message: 'Hello ' + event.name, number: NUMBER });\n"),
}
# They sleep for the event's `sleep` seconds and say when they started and ended, by the clock that all sandboxes share, and in which worker.
TIMED_PYTHON = """import os, time
WORKER = os.urandom(8).hex()
if hasattr(os, "register_at_fork"):
    def fresh():
        global WORKER
        WORKER = os.urandom(8).hex()
    os.register_at_fork(after_in_child=fresh)
def handler(event, context):
    start = time.monotonic()
    time.sleep(event.get("sleep", 0))
    return {"worker": WORKER, "start": start, "end": time.monotonic()}
"""
TIMED_NODE = """const worker = require('crypto').randomBytes(8).toString('hex');
const now = () => { const [seconds, rest] = process.hrtime(); return seconds + rest / 1e9; };
exports.handler = async (event) => {
  const start = now();
  await new Promise((resolve) => setTimeout(resolve, (event.sleep || 0) * 1000));
  return { worker, start, end: now() };
};
"""


class Folders:
    """Functions' folders, made for one run and removed at its end."""

    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="hearth-cold-"))

    def make(self, name, files, settings=""):
        folder = self.root / name
        folder.mkdir()
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        (folder / "function.yaml").write_text(settings)
        return folder

    def hello(self, kind, name, number):
        path, text = HELLO[kind]
        runtime = "python3" if kind == "python" else "nodejs"
        return self.make(name, {path: text.replace("NUMBER", str(number))}, f"runtime: {runtime}\nhandler: {path.split('.')[0]}.handler\n")

    def warm(self, kind, name):
        """One worker at most: a second one, which a busy machine brings about, would change what a call costs."""
        kind = "commonjs" if kind == "node" else kind
        path, text = HELLO[kind]
        runtime = "python3" if kind == "python" else "nodejs"
        settings = f"runtime: {runtime}\nhandler: {path.split('.')[0]}.handler\nconcurrency: {{workers_max: 1}}\n"
        return self.make(name, {path: text.replace(", 'number': NUMBER", "").replace(", number: NUMBER", "")}, settings)

    def timed(self, kind, name, settings="", imports=""):
        path, text, runtime = ("app.py", TIMED_PYTHON, "python3") if kind == "python" else ("index.js", TIMED_NODE, "nodejs")
        return self.make(name, {path: imports + text}, f"runtime: {runtime}\nhandler: {path.split('.')[0]}.handler\n{settings}")

    def many_modules(self, name, settings):
        """A function that imports MODULES small modules of its own."""
        folder = self.timed("python", name, settings, "import heavy\n")
        package = folder / "heavy"
        package.mkdir()
        for i in range(MODULES):
            (package / f"m{i}.py").write_text(
                f"'''Module {i}.'''\nLIMIT = {i}\nNAMES = {{str(i): i for i in range(8)}}\n\n\nclass Shape{i}:\n    '''Has a size.'''\n"
                f"    def __init__(self, size={i}):\n        self.size = size\n\n    def area(self, by=2):\n        return self.size * by + LIMIT\n\n\n"
                f"def use(value):\n    return Shape{i}(value).area()\n")
        (package / "__init__.py").write_text("".join(f"from heavy import m{i}\n" for i in range(MODULES)))
        return folder

    def bundle(self, name, size, settings):
        """A Node.js function whose one file is a bundle: small modules in functions of their own, of which each is run and few of whose methods are."""
        parts, length = ["'use strict';\nconst all = [];\n"], 0
        while length < size:
            i = len(parts)
            parts.append(
                f"all.push(function (exports) {{ 'use strict'; class Shape{i} {{ constructor(size) {{ this.size = size; this.seen = []; }}\n"
                f"  area(by) {{ if (by > {i}) {{ for (let k = 0; k < by; k++) this.seen.push({{ k, name: 'shape {i} ' + k }}); }} return this.size * by + {i}; }}\n"
                f"  async load(name) {{ try {{ const found = await this.find(name); return Object.assign({{}}, found, {{ number: {i} }}); }} catch (error) {{ throw new Error('shape {i}: ' + error.message); }} }}\n"
                f"  find(name) {{ switch (name) {{ case 'one': return Promise.resolve({{ name }}); case 'two': return null; default: return undefined; }} }} }}\n"
                f"exports.use = function use(value) {{ return new Shape{i}(value).area(2); }}; exports.first = exports.use({i}); exports.Shape{i} = Shape{i}; }});\n")
            length += len(parts[-1])
        parts.append("let count = 0;\nfor (const one of all) { const exported = {}; one(exported); count += exported.first > 0 ? 1 : 0; }\nexports.handler = async () => count;\n")
        return self.make(name, {"index.js": "".join(parts)}, f"runtime: nodejs\nhandler: index.handler\n{settings}")

    def close(self):
        shutil.rmtree(self.root, ignore_errors=True)


class Call:
    """One call on a connection that is open before its time is taken."""

    def __init__(self, port, function, event):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        body = json.dumps(event).encode()
        self.request = (f"POST {INVOKE.format(function)} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
                        f"Content-Length: {len(body)}\r\n\r\n").encode() + body

    def send(self):
        self.sent = time.monotonic()
        self.socket.sendall(self.request)

    def reply(self):
        """The reply's value. Ends the bench if the call did not succeed."""
        data = b""
        while True:
            head, mark, body = data.partition(b"\r\n\r\n")
            if mark:
                size = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
                if size and len(body) >= int(size.group(1)):
                    break
            part = self.socket.recv(65536)
            if not part:
                self.socket.close()
                raise SystemExit(f"bench: the connection ended in a reply: {data!r}")
            data += part
        self.took = time.monotonic() - self.sent
        self.socket.close()
        if b" 200 " not in head.split(b"\r\n")[0] or b"x-amz-function-error" in head.lower():
            raise SystemExit(f"bench: a call failed: {data.decode(errors='replace')}")
        return json.loads(body)


def timed_call(port, function, event):
    """(seconds, the reply's value) of one call."""
    one = Call(port, function, event)
    one.send()
    value = one.reply()
    return one.took, value


def fresh_start(command):
    """Seconds from the start of a program to its end."""
    begin = time.monotonic()
    pid = os.posix_spawn(command[0], command, os.environ)
    _, status = os.waitpid(pid, 0)
    took = time.monotonic() - begin
    if status != 0:
        raise SystemExit(f"bench: {' '.join(command)} ended with status {status}")
    return took


# --- the state of a daemon, from /metrics

def total(metrics, name, label=""):
    return sum(value for key, value in metrics.items() if key.partition("{")[0] == name and label in key)


def parked(metrics, runtime):
    return total(metrics, "hearth_workers_parked", f'runtime="{runtime}"')


def wait_at_rest(hearth, runtime, least):
    """Until at least `least` workers are parked and no worker boots, loads or leaves."""
    def at_rest():
        metrics = hearth.metrics()
        known = total(metrics, "hearth_workers_parked") + sum(
            total(metrics, "hearth_function_workers", f'state="{state}"') for state in ("busy", "idle"))
        moulds = total(metrics, "hearth_zygotes") + total(metrics, "hearth_zygote_spares")  # they may be in either sum, or in none
        others = total(metrics, "hearth_workers") - known - moulds
        return parked(metrics, runtime) >= least and others <= 0
    wait_for(at_rest, f"the pool of {runtime}")
    time.sleep(0.05)


def function_workers(hearth, function):
    return total(hearth.metrics(), "hearth_function_workers", f'function="{function}"')


def worker_starts(hearth, function):
    return total(hearth.metrics(), "hearth_function_worker_starts_total", f'function="{function}"')


def private_kib(pid):
    """What this process alone has in memory: Private_Clean and Private_Dirty."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(size) for size in re.findall(r"^Private_(?:Clean|Dirty): *(\d+) kB", text, re.MULTILINE))
