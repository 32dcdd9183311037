"""Code archives: hostile ones are refused with a stable error and leave nothing behind, and the process that unpacks them may die without harm."""
import base64
import io
import itertools
import json
import os
import pathlib
import random
import signal
import struct
import threading
import unittest
import zipfile

from harness import DaemonTest, wait_until

FUNCTIONS = "/2015-03-31/functions"
ANSWER = "def handler(event, context):\n    return event\n"


def archive(entries, method=zipfile.ZIP_DEFLATED):
    """A zip of (name or ZipInfo, bytes)."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, data in entries:
            file.writestr(name, data)
    return out.getvalue()


def entry(name, mode):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info


def renamed(old, new, *more):
    """An archive with an entry whose name zipfile would not write: the bytes are exchanged. Same length."""
    assert len(old) == len(new)
    return archive([("app.py", ANSWER), (old.decode(), "x"), *more]).replace(old, new)


def overlapping():
    """Two directory entries that share one file's packed bytes, which are most of the archive."""
    data = archive([("a", random.Random(1).randbytes(100_000)), ("b", "x")], zipfile.ZIP_STORED)
    start = data.rindex(b"PK\x01\x02")
    sizes = data[data.index(b"PK\x01\x02") + 16:data.index(b"PK\x01\x02") + 28]
    patched = bytearray(data)
    patched[start + 16:start + 28] = sizes
    patched[start + 42:start + 46] = struct.pack("<I", 0)
    return bytes(patched)


HOSTILE = {
    "leads out": (renamed(b"xx/x", b"../x"), "'..'"),
    "leads out from within": (renamed(b"a/xx/xx/x", b"a/../../x"), "'..'"),
    "absolute": (renamed(b"xetc/x", b"/etc/x"), "absolute"),
    "backslash": (renamed(b"xx_x", b"..\\x"), "backslash"),
    "NUL in the name": (renamed(b"aXb", b"a\0b"), "control character"),
    "bad UTF-8": (renamed(b"caf_", b"caf\xe9"), "not UTF-8"),
    "symbolic link": (archive([("app.py", ANSWER), (entry("link", 0o120777), "/etc/passwd")]), "symbolic link"),
    "link and a file through it": (archive([(entry("link", 0o120777), "/tmp"), ("link/x", "x")]), "symbolic link"),
    "device": (archive([(entry("dev", 0o020666), "")]), "device"),
    "fifo": (archive([(entry("fifo", 0o010666), "")]), "device"),
    "setuid": (archive([("app.py", ANSWER), (entry("su", 0o104755), "x")]), "setuid"),
    "there twice": (renamed(b"app.pz", b"app.py"), "there twice"),
    "case only": (archive([("app.py", ANSWER), ("App.py", "x")]), "case only"),
    "file and folder": (archive([("a", "x"), ("a/b", "x")]), "as a file and as a folder"),
    "65k files": (archive([("app.py", ANSWER)] + [(str(i), "") for i in range(65_000)], zipfile.ZIP_STORED), "limits.code_files"),
    "bomb by ratio": (archive([("app.py", ANSWER), ("zeros", bytes(64 << 20))]), "times the archive's size"),
    "bomb by size": (archive([("app.py", ANSWER)] + [(f"z{i}", random.Random(i).randbytes(300_000) + bytes(60 << 20)) for i in range(5)]), "limits.code_unpacked"),
    "overlapping entries": (overlapping(), "overlaps"),
    "cut off": (archive([("app.py", ANSWER)])[:-10], "not a zip archive"),
    "no zip": (b"hello", "not a zip archive"),
}


def unpackers(daemon):
    """Pids of the daemon's unpacker processes."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        name, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
        if name == "hearth-unpacker" and int(rest[1]) == daemon:
            found.append(int(path.parent.name))
    return found


def signal_unpackers(daemon, number):
    for pid in unpackers(daemon):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass  # it ended meanwhile


class ArchiveTest(DaemonTest):
    def create(self, name, data, daemon=None):
        body = {"FunctionName": name, "Runtime": "python3", "Role": "r", "Handler": "app.handler",
                "Code": {"ZipFile": base64.b64encode(data).decode()}}
        return (daemon or self.daemon).request("POST", FUNCTIONS, body=json.dumps(body), timeout=120)

    def left_in_staging(self, daemon=None):
        return sorted(path.name for path in ((daemon or self.daemon).state / "staging").iterdir())


class Hostile(ArchiveTest):
    def test_each_is_refused_and_leaves_nothing(self):
        code = self.daemon.state / "code"
        before = sorted(code.iterdir())
        for what, (data, why) in HOSTILE.items():
            with self.subTest(what):
                reply = self.create("hostile", data)
                self.assertEqual((reply.status, reply.headers.get("x-hearth-error")), (400, "archive_invalid"), reply)
                self.assertIn(why, reply.text)
                self.assertEqual(self.left_in_staging(), [])
                self.assertEqual(sorted(code.iterdir()), before)
        self.assertEqual(unpackers(self.daemon.pid), [])
        self.assertGreaterEqual(self.daemon.metrics()["hearth_unpack_refused_total"], len(HOSTILE))
        self.assertEqual(self.daemon.metrics()["hearth_unpack_failures_total"], 0)

    def test_modes_of_the_archive_are_not_taken_over(self):
        reply = self.create("modes", archive([(entry("app.py", 0o101777), ANSWER), (entry("data", 0o100000), "x")]))
        self.assertEqual(reply.status, 201, reply)
        folders = [path for path in (self.daemon.state / "code").iterdir() if (path / "data").exists()]
        self.assertEqual(len(folders), 1)
        self.assertEqual({path.name: path.stat().st_mode & 0o7777 for path in folders[0].iterdir()}, {"app.py": 0o755, "data": 0o644})
        self.assertEqual(self.daemon.invoke("modes", 5).json(), 5)

    def test_every_layer_confines_the_unpacker(self):
        self.assertEqual(self.create("layers", archive([("app.py", ANSWER)])).status, 201)
        metrics = self.daemon.metrics()
        for layer in ("seccomp", "no_new_privs", "no_capabilities", "limits"):
            self.assertEqual(metrics[f'hearth_unpack_layer{{layer="{layer}"}}'], 1, layer)
        self.assertTrue(metrics['hearth_unpack_layer{layer="chroot"}'] or metrics['hearth_unpack_layer{layer="landlock"}'])


class HostileToAnUnprivilegedUser(Hostile):
    user = True


class DegradedMode(ArchiveTest):
    user = True
    sandbox = "degraded"
    config = {"sandbox": {"allow_degraded": True}}

    def test_the_unpacker_keeps_the_layers_that_it_can_have(self):
        self.assertEqual(self.create("layers", archive([("app.py", ANSWER)])).status, 201)
        self.assertEqual(self.daemon.metrics()['hearth_unpack_layer{layer="seccomp"}'], 1)
        reply = self.create("hostile", HOSTILE["absolute"][0])
        self.assertEqual(reply.headers.get("x-hearth-error"), "archive_invalid")


class UnpackerDies(ArchiveTest):
    shared = False

    def slow_archive(self, seed):
        return archive([("app.py", ANSWER)] + [(f"{seed}-{i}", random.Random(i).randbytes(1000) * 1000) for i in range(60)])

    def deploy_and_kill(self, daemon, name):
        """Deploys an archive while every unpacker is killed as soon as it is seen."""
        replies = []
        deploy = threading.Thread(target=lambda: replies.append(self.create(name, self.slow_archive(0), daemon)))
        deploy.start()
        while deploy.is_alive():
            signal_unpackers(daemon.pid, signal.SIGKILL)
        deploy.join()
        return replies[0]

    def test_a_kill_is_an_error_of_that_deploy(self):
        daemon = self.own_daemon()
        daemon.python("other", ANSWER)
        # An unpacker that was seen when it had just finished answers as if nothing had happened: then another one is killed.
        replies = itertools.dropwhile(lambda reply: reply.status == 201, (self.deploy_and_kill(daemon, f"killed{i}") for i in range(5)))
        reply = next(replies, None)
        self.assertIsNotNone(reply, "no unpacker could be killed in five deploys")
        self.assertEqual((reply.status, reply.headers.get("x-hearth-error")), (500, "unpack_failed"), reply)
        self.assertEqual(daemon.metrics()["hearth_unpack_failures_total"], 1)
        self.assertEqual(self.left_in_staging(daemon), [])
        self.assertEqual(daemon.invoke("other", 3).json(), 3)
        self.assertEqual(self.create("again", self.slow_archive(1), daemon).status, 201)
        self.assertEqual(daemon.invoke("again", 4).json(), 4)

    def test_a_hang_ends_at_the_limit(self):
        daemon = self.own_daemon({"limits": {"code_unpack_time": "2s"}})
        stopped = threading.Event()
        replies = []

        def stop_them():
            while not stopped.is_set():
                signal_unpackers(daemon.pid, signal.SIGSTOP)
        stopper = threading.Thread(target=stop_them)
        stopper.start()
        try:
            replies.append(self.create("hung", self.slow_archive(2), daemon))
        finally:
            stopped.set()
            stopper.join()
        self.assertEqual((replies[0].status, replies[0].headers.get("x-hearth-error")), (500, "unpack_failed"), replies[0])
        self.assertIn("limits.code_unpack_time", replies[0].text)
        self.assertEqual(unpackers(daemon.pid), [])
        self.assertEqual(self.left_in_staging(daemon), [])


if __name__ == "__main__":
    unittest.main()
