"""function.yaml: defaults, found handlers, errors that name what is near."""
import json
import unittest

from harness import DaemonTest

PY = "def handler(event, context):\n    return 'handler'\n"
LAMBDA_PY = "def lambda_handler(event, context):\n    return 'lambda_handler'\n"
CJS = "exports.handler = async () => 'cjs';\n"
ESM = "export const handler = async () => 'esm';\n"


class Manifest(DaemonTest):
    def refused(self, files, manifest, *parts, name="refused"):
        done = self.daemon.cli("deploy", self.daemon.folder(name, files, manifest))
        self.assertNotEqual(done.returncode, 0, done.stdout)
        for part in parts:
            self.assertIn(part, done.stderr + done.stdout)
        return done

    def configuration(self, name):
        reply = self.daemon.request("GET", f"/2015-03-31/functions/{name}/configuration")
        self.assertEqual(reply.status, 200, reply)
        return reply.json()

    def test_without_a_manifest_the_files_say_it(self):
        cases = {
            "from_app": ({"app.py": PY}, "python3", "app.handler", "handler"),
            "from_lambda": ({"lambda_function.py": LAMBDA_PY}, "python3", "lambda_function.lambda_handler", "lambda_handler"),
            "from_cjs": ({"index.cjs": CJS}, "nodejs", "index.handler", "cjs"),
            "from_mjs": ({"index.mjs": ESM}, "nodejs", "index.handler", "esm"),
            "from_js": ({"index.js": CJS}, "nodejs", "index.handler", "cjs"),
            "from_js_module": ({"index.js": ESM, "package.json": '{"type": "module"}'}, "nodejs", "index.handler", "esm"),
            "from_main": ({"lib/start.js": CJS, "package.json": '{"main": "lib/start.js"}'}, "nodejs", "lib/start.handler", "cjs"),
        }
        for name, (files, runtime, handler, answer) in cases.items():
            with self.subTest(name=name):
                self.daemon.deploy(name, files)
                configuration = self.configuration(name)
                self.assertTrue(configuration["Runtime"].startswith(runtime[:6]), configuration)
                self.assertEqual(configuration["Handler"], handler)
                self.assertEqual((configuration["Timeout"], configuration["MemorySize"]), (3, 128))
                self.assertEqual(self.daemon.invoke(name).json(), answer)

    def test_every_key(self):
        self.daemon.deploy("folder_name", {"src/main.py": "import os\ndef run(event, context):\n    return os.environ['COLOUR'] + os.environ['N']\n"},
                           "name: given-name\nruntime: python3\nhandler: src/main.run\ntimeout: 7s\nmemory: 200MB\nnetwork: none\n"
                           "environment: {COLOUR: red, N: 5}\nconcurrency: {per_worker: 1, workers_min: 0, workers_max: 3, queue: 10}\n")
        configuration = self.configuration("given-name")
        self.assertEqual((configuration["Timeout"], configuration["MemorySize"]), (7, 200))
        self.assertEqual(configuration["Environment"]["Variables"], {"COLOUR": "red", "N": "5"})
        self.assertEqual(self.daemon.invoke("given-name").json(), "red5")
        self.assertEqual(self.daemon.invoke("folder_name").status, 404)

    def test_units(self):
        for timeout, seconds in (("2", 2), ("2s", 2), ("1m", 60), ("5000ms", 5)):
            with self.subTest(timeout=timeout):
                self.daemon.python("units", PY, f"timeout: {timeout}\n")
                self.assertEqual(self.configuration("units")["Timeout"], seconds)
        for memory, megabytes in (("64", 64), ("64MB", 64), ("1GB", 1024)):
            with self.subTest(memory=memory):
                self.daemon.python("units", PY, f"memory: {memory}\n")
                self.assertEqual(self.configuration("units")["MemorySize"], megabytes)

    def test_a_bare_concurrency_is_per_worker(self):
        code = ("let now = 0, most = 0;\nexports.handler = async () => { most = Math.max(most, ++now);"
                " await new Promise((r) => setTimeout(r, 100)); now--; return most; };\n")
        self.daemon.deploy("bare", {"index.cjs": code}, "concurrency: 4\n")
        configuration = self.daemon.cli("list", "--json", check=0).stdout
        self.assertIn("bare", configuration)

    def test_an_unknown_key_names_the_nearest(self):
        for wrong, right in (("timeot: 3", "timeout"), ("memroy: 64", "memory"), ("enviroment: {}", "environment"), ("handlr: a.b", "handler"),
                             ("concurrency: {per_workers: 1}", "per_worker"), ("concurrency: {worker_max: 1}", "workers_max")):
            with self.subTest(wrong=wrong):
                self.refused({"app.py": PY}, wrong + "\n", wrong.split(":")[-2].strip(" {") if "{per" in wrong or "{wor" in wrong
                             else wrong.split(":")[0], right)

    def test_two_candidates_name_both(self):
        self.refused({"app.py": PY, "index.mjs": ESM}, None, "app.py", "index.mjs")
        self.refused({"app.py": PY, "lambda_function.py": LAMBDA_PY}, None, "app.py", "lambda_function.py")

    def test_no_candidate(self):
        self.refused({"readme.txt": "x"}, None, "app.py", "index")

    def test_bad_values(self):
        for manifest, part in (("timeout: 0", "timeout"), ("timeout: -1s", "timeout"), ("timeout: soon", "timeout"), ("timeout: 901", "timeout"),
                               ("memory: 0", "memory"), ("memory: 99999GB", "memory"), ("memory: lots", "memory"),
                               ("runtime: cobol", "runtime"), ("name: 'bad name'", "name"), ("name: " + "n" * 65, "name"),
                               ("handler: ''", "handler"), ("network: full", "network"), ("environment: [1]", "environment"),
                               ("concurrency: 0", "concurrency"), ("concurrency: {queue: -1}", "queue"),
                               ("concurrency: {per_worker: 100000}", "per_worker"), ("environment: {'A=B': c}", "environment"),
                               ("timeout: 3s\ntimeout: 4s", "timeout")):
            with self.subTest(manifest=manifest):
                self.refused({"app.py": PY}, manifest + "\n", part)

    def test_network_says_what_is_possible(self):
        done = self.refused({"app.py": PY}, "network: full\n", "network", "none")
        self.assertIn("full", done.stderr + done.stdout)

    def test_broken_yaml_tells_the_line(self):
        self.refused({"app.py": PY}, "timeout: 3s\n  memory: [\n", "function.yaml")
        self.refused({"app.py": PY}, "- a list\n", "function.yaml")
        self.refused({"app.py": PY}, "&a [*a, *a]\n", "function.yaml")

    def test_a_refused_deploy_changes_nothing(self):
        self.daemon.python("steady", PY)
        before = self.configuration("steady")
        self.refused({"app.py": PY}, "timeout: 0\n", "timeout", name="steady")
        self.assertEqual(self.configuration("steady"), before)

    def test_code_and_configuration_make_a_revision(self):
        def deployed(code, manifest=None):
            self.daemon.python("rev", code, manifest)
            return self.configuration("rev")

        first = deployed(PY)
        self.assertEqual(deployed(PY)["RevisionId"], first["RevisionId"], "the same again is the same revision")
        self.assertNotEqual(deployed(PY, "timeout: 4s\n")["RevisionId"], first["RevisionId"])
        other = deployed(PY.replace("'handler'", "'other'"))
        self.assertNotEqual((other["RevisionId"], other["CodeSha256"]), (first["RevisionId"], first["CodeSha256"]))
        self.assertEqual(self.daemon.invoke("rev").json(), "other")

    def test_a_new_revision_takes_over_under_load(self):
        answers = []
        self.daemon.python("swap", "def handler(event, context):\n    return 0\n")
        for version in range(1, 6):
            answers += [self.daemon.invoke("swap").json() for _ in range(5)]
            self.daemon.python("swap", f"def handler(event, context):\n    return {version}\n")
            self.assertEqual(self.daemon.invoke("swap").json(), version, "a call behind an acknowledged deploy runs the new code")
        self.assertEqual(answers, sorted(answers), json.dumps(answers))


if __name__ == "__main__":
    unittest.main()
