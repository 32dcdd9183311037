"""kill -9 of a worker, of the spawner, of the daemon, under load: one answer or a closed connection for each call, and nothing left."""
import base64
import json
import os
import pathlib
import random
import shutil
import signal
import threading
import time
import unittest

from harness import INVOKE, PATIENCE, Daemon, DaemonTest, descendants, load, load_result, scaled, still_alive, user_mode_problem, wait_until

ECHO = "import time\ndef handler(event, context):\n    time.sleep(0.002)\n    return event\n"
KIND = [("echo", 1, INVOKE.format("echo"), '{"n":@N@}', '"n":@N@')]
KIND_JS = [("echo_js", 1, INVOKE.format("echo_js"), '{"n":@N@}', '"n":@N@')]


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class KillWorkers(DaemonTest):
    @classmethod
    def deploy_functions(cls):
        cls.daemon.python("echo", ECHO, "timeout: 10s\nmemory: 64MB\nconcurrency: {workers_max: 4}\n")
        cls.daemon.node("echo_js", "exports.handler = async (event) => event;", "timeout: 10s\nconcurrency: {workers_max: 2}\n")

    def test_each_call_gets_one_answer(self):
        chance = random.Random(7)
        for kinds in (KIND, KIND_JS):
            name = kinds[0][0]
            with self.subTest(name=name):
                self.daemon.invoke(name, {})
                running = load(self.daemon.port, seconds=scaled(40, 3), connections=16, kinds=kinds, timeout_ms=15000)
                killed = 0
                while running.poll() is None:
                    workers = self.daemon.worker_pids()
                    if workers:
                        kill(chance.choice(workers))
                        killed += 1
                    time.sleep(0.25)
                result = load_result(running)["calls"][name]
                self.assertGreater(killed, 2)
                self.assertEqual((result["closed"], result["timed_out"], result["malformed"], result["wrong_body"]), (0, 0, 0, 0), result)
                self.assertGreater(result["status"].get("200", 0), 50, result)
                self.assertLessEqual(set(result["status"]), {"200", "429"}, result)
                self.assertEqual(result["refused_without_reason"], 0, result)
        wait_until(lambda: self.daemon.invoke("echo", {"n": 5}).json() == {"n": 5}, "calls as before", 10)


class LateInit(DaemonTest):
    def test_the_status_is_told_although_init_has_no_turn(self):
        """On a busy machine: the worker has ended, and long nobody says how."""
        self.daemon.python("late", "import os, time\ndef handler(event, context):\n    if event: os._exit(3)\n    return os.getpid()\n",
                           json.dumps({"timeout": "20s", "zygote": "off", "concurrency": {"workers_max": 1}}))
        self.daemon.invoke("late")
        code = [pathlib.Path("/proc", str(pid), "root", "var/task/app.py") for pid in self.daemon.worker_pids()]
        marks = [int(path.parts[2]) for path in code if os.path.exists(path)]
        inits = {int(open(f"/proc/{pid}/stat", encoding="utf-8").read().rpartition(")")[2].split()[1]) for pid in marks}
        self.assertEqual(len(inits), 1, marks)
        init, replies = inits.pop(), []
        os.kill(init, signal.SIGSTOP)
        try:
            call = threading.Thread(target=lambda: replies.append(self.daemon.invoke("late", {"end": True})))
            call.start()
            wait_until(lambda: not any(os.path.exists(path) for path in code), "the worker's end", 10)
            time.sleep(0.35)  # longer than the engine waits for the status of a worker that lives
        finally:
            os.kill(init, signal.SIGCONT)
        call.join(20 * PATIENCE)
        self.assert_function_error(replies[0], "Runtime.ExitError", "exit status 3")


class KillSpawner(DaemonTest):
    shared = False

    def test_workers_die_with_it_and_the_daemon_exits_70(self):
        for user in (False, True):
            with self.subTest(user=user):
                if user and user_mode_problem():
                    self.skipTest(user_mode_problem())
                daemon = self.own_daemon(user=user)
                daemon.python("echo", ECHO, "timeout: 10s\nmemory: 64MB\n")
                daemon.invoke("echo", {})
                below = descendants(daemon.pid)
                self.assertTrue(below)
                running = load(daemon.port, seconds=30, connections=8, kinds=KIND, timeout_ms=10000)
                time.sleep(0.5)
                kill(daemon.spawner_pid())
                code = daemon.process.wait(15 * PATIENCE)
                self.assertEqual(code, 70, daemon.log()[-2000:])
                result = load_result(running)["calls"]["echo"]
                self.assertEqual((result["timed_out"], result["malformed"], result["wrong_body"]), (0, 0, 0), result)
                wait_until(lambda below=below: not still_alive(below), f"the end of {still_alive(below)}", 5)
                daemon.process = None
                daemon.check_nothing_left(below)


class KillDaemon(DaemonTest):
    shared = False

    def test_nothing_is_left_and_a_restart_has_its_functions(self):
        clients = 8
        daemon = self.own_daemon()
        daemon.python("echo", ECHO, "timeout: 10s\nmemory: 64MB\n")
        for round_number in range(scaled(20, 2)):
            daemon.invoke("echo", {})
            below = descendants(daemon.pid)
            running = load(daemon.port, seconds=30, connections=clients, kinds=KIND, timeout_ms=10000)
            time.sleep(0.2 * PATIENCE + 0.05 * (round_number % 5))
            kill(daemon.pid)
            self.assertEqual(daemon.process.wait(10), -signal.SIGKILL)
            whole = load_result(running)
            result = whole["calls"]["echo"]
            self.assertEqual((result["timed_out"], result["malformed"], result["wrong_body"]), (0, 0, 0), result)
            # Each client loses the one call that it had under way. Its new connection is refused, or dies unserved in the backlog when the
            # kernel closes that client's old connection before it closes the listener; after the listener there is only refusal.
            self.assertEqual(result["closed"] - result["closed_unserved"], clients, result)
            self.assertLessEqual(result["closed_unserved"], clients, result)
            self.assertEqual(whole["connect_refused"], clients, whole)
            wait_until(lambda below=below: not still_alive(below), f"the end of {still_alive(below)}", 5)
            daemon.process = None
            daemon.start()
            self.assertEqual(daemon.invoke("echo", {"round": round_number}).json(), {"round": round_number})
        self.assertEqual(daemon.stop(), 0)

    def test_acknowledged_deploys_survive_a_kill_at_any_point(self):
        chance = random.Random(11)
        daemon = self.own_daemon()
        acknowledged = {}
        for round_number in range(scaled(40, 3)):
            stop = threading.Event()
            deployer = threading.Thread(target=self.deploy_until, args=(daemon, stop, acknowledged, round_number))
            deployer.start()
            time.sleep(chance.uniform(0.05, 0.6))
            kill(daemon.pid)
            stop.set()
            deployer.join()
            daemon.process.wait(10)
            daemon.process = None
            daemon.start()
            listed = daemon.request("GET", "/2015-03-31/functions?MaxItems=50").json()["Functions"]
            found = {entry["FunctionName"]: entry for entry in listed}
            for name, entry in acknowledged.items():
                self.assertIn(name, found, "an acknowledged function is gone")
                # The version behind the last acknowledged one may have been stored, and its acknowledgement lost with the daemon.
                self.assertGreaterEqual(found[name]["Timeout"], entry["Timeout"], name)
        for name in acknowledged:
            reply = daemon.invoke(name)
            self.assertEqual((reply.status, reply.json()), (200, name), reply)
        self.assertEqual(daemon.stop(), 0)

    @staticmethod
    def deploy_until(daemon, stop, acknowledged, round_number):
        number = 0
        while not stop.is_set():
            name = f"kept_{number % 3}"
            timeout = 3 + round_number
            folder = daemon.folder(name, {"app.py": f"def handler(event, context):\n    return '{name}'\n"}, f"timeout: {timeout}\nmemory: 64MB\n")
            if daemon.cli("deploy", folder).returncode == 0:
                acknowledged[name] = {"Timeout": timeout}
            number += 1


class StoreDamage(DaemonTest):
    shared = False

    def test_a_damaged_database_is_said_and_never_overwritten(self):
        daemon = self.own_daemon()
        daemon.python("echo", ECHO)
        daemon.stop()
        databases = [path for path in daemon.state.rglob("*") if path.is_file() and path.read_bytes()[:15] == b"SQLite format 3"]
        self.assertEqual(len(databases), 1, databases)
        damaged = b"SQLite format 3\0" + os.urandom(4096)
        databases[0].write_bytes(damaged)
        for path in daemon.state.glob(databases[0].name + "-*"):
            path.unlink()
        second = Daemon(state=daemon.state, work=daemon.work).spawn()
        code = second.process.wait(30 * PATIENCE)
        self.assertNotEqual(code, 0)
        self.assertIn("not a database", second.log())
        self.assertEqual(databases[0].read_bytes()[:4112], damaged)

    def test_missing_code_is_told_and_the_rest_works(self):
        daemon = self.own_daemon()
        daemon.python("whole", ECHO)
        daemon.python("lost", ECHO.replace("0.002", "0.003"))
        sha = json.loads(daemon.request("GET", "/2015-03-31/functions/lost/configuration").body)["CodeSha256"]
        daemon.stop()
        name = base64.b64decode(sha).hex()
        folders = [path for path in daemon.state.rglob(f"*{name}*")]
        self.assertTrue(folders, "code is stored by its SHA-256")
        for path in folders:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        daemon.start()
        self.assertEqual(daemon.invoke("whole", 5).json(), 5)
        reply = daemon.invoke("lost", 5)
        self.assertTrue(reply.status >= 400 or "x-amz-function-error" in reply.headers, reply)
        daemon.stop()


if __name__ == "__main__":
    unittest.main()
