"""The compile cache of Node.js revisions: made once, used by later workers, never by another version, and invisible to the function."""
import json
import unittest

from harness import DaemonTest, wait_until

LEAST = 65536


def bundle(size, version=1):
    """A CommonJS module of `size` bytes in the shape of a bundler's output: many small modules in one file, of which each is run."""
    parts = ["'use strict';\nconst modules = [];\n"]
    length, i = len(parts[0]), 0
    while length < size:
        parts.append(f"modules.push(function (exports) {{ class C{i} {{ constructor(a) {{ this.a = a; }} sum(b) {{ let s = this.a; "
                     f"for (let k = 0; k < b; k++) s += k % {i + 2}; return s; }} label() {{ return 'module {i} of {version}'; }} }} "
                     f"exports.value = new C{i}({i}).sum(3); exports.C{i} = C{i}; }});\n")
        length += len(parts[-1])
        i += 1
    return "".join(parts) + "exports.count = 0;\nfor (const m of modules) { const e = {}; m(e); exports.count += e.value >= 0 ? 1 : 0; }\n" \
        f"exports.version = {version};\nexports.fail = function fail() {{ throw new Error('from the bundle'); }};\n" \
        "exports.where = __filename + ' ' + __dirname; exports.main = require.main === undefined ? 'none' : require.main.filename.split('/').pop();\n" \
        "exports.json = require('./data.json').x; exports.self = module.children.map((m) => m.filename);\n" \
        "exports.keys = Object.keys(require).sort().join(); exports.resolved = [require.resolve('./data.json'), require.resolve.paths('x').length];\n" \
        "exports.cached = Object.keys(require.cache).filter((n) => n.startsWith('/var/task')).sort();\n" \
        "exports.misc = [this === exports, module.loaded, module.parent && module.parent.filename, typeof exports, arguments.length];\n" \
        "try { require('./broken.node'); } catch (error) { exports.native = error.code; }\n"


INDEX = """const bundle = require('./bundle.js');
const born = process.hrtime().join('.');
exports.handler = async (event) => {
  if (event.fail) bundle.fail();
  const rest = Object.assign({}, bundle, { born, children: module.children.map((m) => m.filename),
    compile: require('module').prototype._compile.name + typeof require('module').prototype._compile });
  if (event.seconds) await new Promise((resolve) => setTimeout(resolve, event.seconds * 1000));
  return rest;
};
"""


def files(size=LEAST * 3, version=1):
    return {"index.js": INDEX, "bundle.js": bundle(size, version), "data.json": '{"x": 42}',
            "broken.node": "not a library"}


class CompileCache(DaemonTest):
    config = {"pool": {"python3": 0, "nodejs": 1}}
    manifest = "timeout: 30s\nrecycle: {max_calls: 1}\nconcurrency: {workers_max: 1}\n"  # so that each call is a worker's first one

    def count(self, name):
        return self.daemon.metrics().get(f"hearth_compile_cache_{name}", 0)

    def counts(self):
        return {name: self.count(name) for name in ("made_total", "hits_total", "rejects_total", "evictions_total")}

    def call(self, name, event=None):
        reply = self.daemon.invoke(name, event or {}, timeout=60)
        self.assertTrue(reply.status == 200 and not reply.headers.get("x-amz-function-error"), reply)
        return reply.json()

    def since(self, before):
        return {name: value - before[name] for name, value in self.counts().items() if value != before[name]}

    def test_the_second_worker_compiles_with_what_the_first_one_made_and_the_function_sees_no_difference(self):
        before = self.counts()
        self.daemon.deploy("big", files(1 << 20), self.manifest)
        first = self.call("big")
        self.assertEqual(self.since(before), {"made_total": 1})
        self.assertGreater(self.count("bytes"), 100_000)
        second = self.call("big")
        self.assertEqual(self.since(before), {"made_total": 1, "hits_total": 1})
        plain_daemon = self.own_daemon(dict(self.config, limits={"compile_cache_per_function": 0}))
        plain_daemon.deploy("big", files(1 << 20), self.manifest)
        plain = plain_daemon.invoke("big", {}, timeout=60).json()
        self.assertEqual(plain_daemon.metrics().get("hearth_compile_cache_made_total"), 0)
        self.assertEqual(len({first.pop("born"), second.pop("born"), plain.pop("born")}), 3)
        self.assertEqual(first, plain)
        self.assertEqual(second, plain)
        self.assertEqual(plain["json"], 42)

    def test_an_error_has_the_file_line_and_column_that_it_has_without(self):
        self.daemon.deploy("fails", files(), self.manifest)
        text = files()["bundle.js"].split("\n")
        line = next(i for i, one in enumerate(text, 1) if "from the bundle" in one)
        column = text[line - 1].index("new Error") + 1
        for _ in range(2):
            before = self.counts()
            reply = self.daemon.invoke("fails", {"fail": True}, timeout=60)
            self.assert_function_error(reply, "Error", "from the bundle")
            self.assertIn(f"/var/task/bundle.js:{line}:{column}", reply.json()["trace"][1])
            self.assertNotIn("compile_cache", reply.text)
        self.assertEqual(self.since(before), {"hits_total": 1})

    def test_another_version_makes_its_own(self):
        self.daemon.deploy("moves", files(version=1), self.manifest)
        self.assertEqual([self.call("moves")["version"] for _ in range(2)], [1, 1])
        before = self.counts()
        self.daemon.deploy("moves", files(version=2), self.manifest)  # as long to the byte: all that V8 looks at
        self.assertEqual([self.call("moves")["version"] for _ in range(2)], [2, 2])
        self.assertEqual(self.since(before), {"made_total": 1, "hits_total": 1})

    def test_two_functions_of_the_same_code_share_nothing(self):
        before = self.counts()
        for name in ("twin_a", "twin_b"):
            self.daemon.deploy(name, files(), self.manifest)
            self.call(name)
        self.assertEqual(self.since(before), {"made_total": 2})

    def test_a_small_function_makes_none_and_is_asked_once(self):
        before = self.counts()
        self.daemon.node("small", "exports.handler = async () => require('module').prototype._compile.toString().includes('wrapSafe');",
                         self.manifest)
        self.assertEqual([self.call("small") for _ in range(3)], [True] * 3)
        self.assertEqual(self.since(before), {})

    def test_a_source_that_calls_import_is_left_to_node(self):
        """Code out of a cache could not: V8 forgets whom to ask."""
        for name, text in (("imports", "import('./later.mjs')"), ("evaluates", "eval(\"import('./later.mjs')\")"),
                           ("remarks", "import/* webpackIgnore: true */('./later.mjs')")):
            before = self.counts()
            code = "// " + "x" * LEAST + f"\nexports.handler = async () => (await {text}).default;\n"
            self.daemon.deploy(name, {"index.js": code, "later.mjs": "export default import.meta.url;\n"}, self.manifest)
            self.assertEqual([self.call(name) for _ in range(2)], ["file:///var/task/later.mjs"] * 2)
            self.assertEqual(self.since(before), {})

    def test_a_source_that_is_no_common_js_is_left_to_node(self):
        filler = "// " + "x" * LEAST + "\n"
        self.daemon.deploy("module", {"index.mjs": filler + "export const handler = async () => 'esm';\n"}, self.manifest)
        self.assertEqual([self.call("module") for _ in range(2)], ["esm", "esm"])
        self.daemon.deploy("wrong", {"index.js": filler + "exports.handler = async () => {\n  const = 1;\n};\n"}, self.manifest)
        for _ in range(2):
            reply = self.daemon.invoke("wrong", {}, timeout=60)
            self.assert_function_error(reply, "Runtime.UserCodeSyntaxError", "/var/task/index.js:3")

    def test_what_is_used_least_goes(self):
        daemon = self.own_daemon(dict(self.config, limits={"compile_cache_per_function": "512KB", "compile_cache_total": "512KB"}))
        for name in ("one", "two"):
            daemon.deploy(name, files(LEAST * 2), self.manifest)
            daemon.invoke(name, {}, timeout=60)
        metrics = daemon.metrics()
        self.assertEqual(metrics["hearth_compile_cache_made_total"], 2)
        self.assertLessEqual(metrics["hearth_compile_cache_bytes"], 512 * 1024)
        self.assertEqual(metrics["hearth_compile_cache_evictions_total"], 2 - metrics["hearth_compile_cache_revisions"])


class Hostile(DaemonTest):
    """What a worker says of its cache is input. The function writes to its channel itself."""

    config = {"pool": {"python3": 0, "nodejs": 1}}

    def violation(self, name, runtime, frames):
        text = json.dumps(frames)
        if runtime == "python":
            code = f"import os, json\nfor text in json.loads('{text}'):\n    os.write(3, bytes.fromhex(text))\ndef handler(event, context):\n    return 1\n"
            self.daemon.python(name, code)
        else:
            self.daemon.node(name, f"""const fs = require('fs');
for (const hex of {text}) {{
  const data = Buffer.from(hex, 'hex');
  for (let at = 0; at < data.length;) {{
    try {{ at += fs.writeSync(3, data, at); }} catch (error) {{ if (error.code !== 'EAGAIN') throw error; }}
  }}
}}
exports.handler = async () => 1;
""")
        reply = self.daemon.invoke(name, {}, timeout=60)
        self.assertTrue(reply.status != 200 or reply.headers.get("x-amz-function-error"), reply)

    @staticmethod
    def frame(payload, kind=0x8B, flags=0, aux=0):
        return (len(payload).to_bytes(4, "little") + bytes([kind, flags]) + aux.to_bytes(2, "little") + bytes(8) + payload).hex()

    def test_each_is_a_violation_that_the_log_names(self):
        part, end = self.frame(b"x" * LEAST, flags=1), self.frame(b"x")
        cases = [
            ("twice", "node", [end, end], "CACHE came twice"),
            ("unasked", "python", [end], "CACHE of a worker that was not asked for one"),
            ("short", "node", [self.frame(b"x", flags=1)], "a CACHE that goes on has not 65536 bytes"),
            ("empty", "node", [self.frame(b"")], "CACHE has not the right form"),
            ("late", "node", [self.frame(bytes(4), kind=0x82), end], "CACHE came after READY"),
            ("within", "node", [part, self.frame(bytes(4), kind=0x82)], "READY came within CACHE"),
            ("tells", "node", [self.frame(bytes(4), kind=0x82, aux=1)], "READY tells of a CACHE that was not sent"),
            ("much", "node", [part] * 64 + [end], "CACHE is larger than limits.compile_cache_per_function"),
        ]
        for name, runtime, frames, what in cases:
            with self.subTest(name):
                self.violation(name, runtime, frames)
                wait_until(lambda: f"'{name}' broke the protocol: {what}" in self.daemon.log(), f"the log to name {what!r}")

    def test_a_cache_of_nonsense_is_refused_dropped_and_made_anew(self):
        """Whoever is asked for a cache sends nonsense ahead of the shim, which has nothing to send for a source so small."""
        code = "if (!require('module').prototype._compile.toString().includes('wrapSafe')) " \
            f"require('fs').writeSync(3, Buffer.from('{self.frame(b'nonsense')}', 'hex'));\nexports.handler = async () => 'ran';\n"
        self.daemon.node("nonsense", code, CompileCache.manifest)
        counts = []
        for _ in range(3):
            reply = self.daemon.invoke("nonsense", {}, timeout=60)
            self.assertEqual((reply.status, reply.json()), (200, "ran"), reply)
            metrics = self.daemon.metrics()
            counts.append([metrics[f"hearth_compile_cache_{name}_total"] for name in ("made", "hits", "rejects")])
        first = counts[0][0]
        self.assertEqual(counts, [[first, 0, 0], [first, 0, 1], [first + 1, 0, 1]])


if __name__ == "__main__":
    unittest.main()
