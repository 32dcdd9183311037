"""A full disk under the state folder: deploys get disk_full at whatever point the space ends, calls go on, and all works again afterwards."""
import base64
import errno
import io
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest
import zipfile

from harness import EXIT, IS_ROOT, PATIENCE, DaemonTest, wait_until

FUNCTIONS = "/2015-03-31/functions"
STATE_BYTES = 24 << 20
PAGE = 4096


def archive(code, more=None):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("app.py", code)
        for name, content in (more or {}).items():
            file.writestr(name, content)
    return base64.b64encode(out.getvalue()).decode()


def answer(text):
    return f"def handler(event, context):\n    return {text!r}\n"


class DiskFull(DaemonTest):
    shared = False

    def setUp(self):
        if not IS_ROOT:
            self.skipTest("only root can mount a small file system")
        outside = pathlib.Path(tempfile.mkdtemp(prefix="hearth-disk-"))
        self.addCleanup(shutil.rmtree, outside, ignore_errors=True)
        outside.chmod(0o711)
        self.state = outside / "state"
        self.state.mkdir(mode=0o700)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={STATE_BYTES},mode=0700", "tmpfs", self.state],
                                 capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            self.skipTest(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", self.state], check=True)
        self.filler = self.state / "filler"
        self.daemon = self.own_daemon(state=self.state)
        self.daemon.python("kept", "def handler(event, context):\n    print('line', event)\n    return event\n", "memory: 64MB\n")
        self.assertEqual(self.daemon.invoke("kept", 1).json(), 1)

    def leave(self, free):
        """Fills the disk until `free` bytes (whole pages) are left."""
        self.filler.unlink(missing_ok=True)
        with open(self.filler, "wb", buffering=0) as file:
            for size in (1 << 20, PAGE):
                try:
                    while file.write(bytes(size)):
                        pass
                except OSError as error:
                    self.assertEqual(error.errno, errno.ENOSPC)
            file.truncate(max(0, file.tell() - free))

    def make_room(self):
        self.filler.unlink()

    def create(self, name, zip_file):
        body = {"FunctionName": name, "Runtime": "python3", "Role": "r", "Handler": "app.handler", "Code": {"ZipFile": zip_file}}
        return self.daemon.request("POST", FUNCTIONS, body=json.dumps(body))

    def update(self, name, zip_file):
        return self.daemon.request("PUT", f"{FUNCTIONS}/{name}/code", body=json.dumps({"ZipFile": zip_file}))

    def assert_disk_full(self, reply):
        self.assertEqual((reply.status, reply.headers.get("x-hearth-error")), (507, "disk_full"), reply)

    def assert_all_works(self):
        self.assertEqual(self.daemon.invoke("kept", 7).json(), 7)
        self.assertEqual(self.create("fresh", archive(answer("fresh"))).status, 201)
        self.assertEqual(self.daemon.invoke("fresh").json(), "fresh")
        self.assertEqual(self.daemon.request("DELETE", f"{FUNCTIONS}/fresh").status, 204)
        self.assertEqual(os.listdir(self.state / "staging"), [])

    def test_an_upload_that_does_not_fit_is_refused_while_it_comes(self):
        self.leave(64 * PAGE)
        self.assert_disk_full(self.create("big", archive(answer("big"), {"blob": os.urandom(2 << 20)})))
        self.assert_disk_full(self.update("kept", archive(answer("big"), {"blob": os.urandom(2 << 20)})))
        self.make_room()
        self.assert_all_works()

    def test_code_that_does_not_fit_unpacked_is_refused(self):
        self.leave(1 << 20)
        wide = {"wide": (os.urandom(64 << 10) + bytes(64 << 10)) * 32}  # 4 MB; the window of deflate does not see the repetition
        narrow = {"wide": bytes(4 << 20)}
        for more in (wide, narrow):
            self.assert_disk_full(self.create("wide", archive(answer("wide"), more)))
            self.assert_disk_full(self.update("kept", archive(answer("wide"), more)))
        done = self.daemon.cli("deploy", self.daemon.folder("wide", {"app.py": answer("wide"), "wide": bytes(4 << 20)}))
        self.assertEqual(done.returncode, EXIT["refused"], done.stderr)
        self.assertIn("disk", done.stderr)
        self.make_room()
        self.assert_all_works()

    def try_everything(self, pages):
        """One deploy of each kind on the disk as it is; returns the replies with the status of success."""
        created = self.create("step", archive(answer(f"step {pages}")))
        updated = self.update("kept", archive(answer(f"kept {pages}")))
        patched = self.daemon.request("PUT", f"{FUNCTIONS}/kept/configuration", body=json.dumps({"Description": "x" * 200 + str(pages)}))
        deleted = self.daemon.request("DELETE", f"{FUNCTIONS}/step")
        return (created, 201), (updated, 200), (patched, 200), (deleted, 204 if created.status == 201 else 404)

    def test_wherever_the_space_ends_a_deploy_is_whole_or_refused(self):
        """Free space from nothing to enough, page by page: upload, copy, unpacking and database each come to the end of it."""
        reasons, made, kept = set(), 0, 1
        for pages in range(60):
            self.leave(pages * PAGE)
            replies = self.try_everything(pages)
            self.assertEqual(self.daemon.request("GET", FUNCTIONS).status, 200)
            self.make_room()
            for reply, success in replies:
                if reply.status != success:
                    self.assert_disk_full(reply)
                    reasons.add(reply.json()["Message"])
            (created, _), (updated, _), _, (deleted, _) = replies
            if created.status == 201 and deleted.status != 204:
                self.assertEqual(self.daemon.invoke("step").json(), f"step {pages}")
                self.assertEqual(self.daemon.request("DELETE", f"{FUNCTIONS}/step").status, 204)
            made += created.status == 201
            kept = f"kept {pages}" if updated.status == 200 else kept
            self.assertEqual(self.daemon.invoke("kept", 1).json(), kept)
            self.assertEqual(os.listdir(self.state / "staging"), [])
        self.assertGreater(made, 5)
        for station in ("the body can't be stored", "write", "execute"):
            self.assertTrue(any(station in reason for reason in reasons), (station, reasons))
        self.assertEqual(self.daemon.stop(), 0)
        self.daemon.start()
        self.assertEqual(self.daemon.invoke("kept", 1).json(), kept)

    def test_calls_go_on_and_the_log_tells_what_it_lost(self):
        self.leave(0)
        for number in range(200):
            self.assertEqual(self.daemon.invoke("kept", number).json(), number)
        self.make_room()
        self.assertEqual(self.daemon.invoke("kept", "after").json(), "after")

        def text():
            return self.daemon.request("GET", "/hearth/v1/functions/kept/logs").text

        wait_until(lambda: "line after" in text(), "the log takes lines again")
        self.assertIn("log lines dropped: the disk is slow or full", text())
        self.assert_all_works()

    def test_a_start_on_a_full_disk_says_so_and_damages_nothing(self):
        self.daemon.stop()
        self.leave(0)
        self.daemon.spawn()
        self.assertEqual(self.daemon.process.wait(20 * PATIENCE), 1)
        self.assertIn("disk_full", self.daemon.log())
        self.daemon.process = None
        self.make_room()
        self.daemon.start()
        self.assert_all_works()


if __name__ == "__main__":
    unittest.main()
