"""Safe on a developer's machine: addresses, Host, browsers, the state folder, what hearth.yaml alone may permit."""
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import tempfile
import unittest

from harness import INVOKE, IS_ROOT, PATIENCE, Daemon, DaemonTest, wait_until

PAGE = """
PAGE = '''<!doctype html><title>page</title><pre id=out>waiting</pre><script>
const port = location.port;
async function attempt(name, url, options) {
  try { const reply = await fetch(url, options); return name + '=' + (reply.type === 'opaque' ? 'opaque' : reply.status); }
  catch (error) { return name + '=blocked'; }
}
(async () => {
  const api = 'http://127.0.0.1:' + port, invoke = '/2015-03-31/functions/counter/invocations';
  const results = [
    await attempt('simple_post', api + invoke, { method: 'POST', mode: 'no-cors', headers: { 'Content-Type': 'text/plain' }, body: '{"add": 100}' }),
    await attempt('cors_post', api + invoke, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"add": 100}' }),
    await attempt('delete', api + '/2015-03-31/functions/counter', { method: 'DELETE' }),
    await attempt('list', api + '/2015-03-31/functions'),
    await attempt('metrics', api + '/metrics', { mode: 'no-cors' }),
    await attempt('logs', api + '/hearth/v1/functions/counter/logs', { mode: 'no-cors' }),
    await attempt('localhost_post', 'http://localhost:' + port + invoke, { method: 'POST', mode: 'no-cors', body: '{"add": 100}' }),
    await attempt('own_origin', location.href + '?again=1'),
  ];
  document.getElementById('out').textContent = 'RESULT ' + results.join(' ') + ' END';
})();
</script>'''
def handler(event, context):
    return {"statusCode": 200, "headers": {"content-type": "text/html"}, "body": PAGE}
"""

COUNTER = """
total = 0
def handler(event, context):
    global total
    total += event.get("add", 0)
    return total
"""


class Safety(DaemonTest):
    config = {"http": {"allowed_hosts": ["hearth.example"]}}

    @classmethod
    def deploy_functions(cls):
        cls.daemon.python("counter", COUNTER, "concurrency: {per_worker: 1, workers_max: 1}\n")
        cls.daemon.python("page", PAGE)

    def guarded(self):
        """One request of each kind that no web page may send."""
        return (("POST", INVOKE.format("counter"), '{"add": 100}'), ("GET", "/2015-03-31/functions", None),
                ("DELETE", "/2015-03-31/functions/counter", None), ("GET", "/metrics", None),
                ("GET", "/hearth/v1/functions/counter/logs", None), ("POST", "/2015-03-31/functions", "{}"))

    def test_a_page_of_another_origin_can_not_call(self):
        for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": f"http://127.0.0.1:{self.daemon.port}"},
                        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "same-origin"}):
            for method, path, body in self.guarded():
                with self.subTest(headers=headers, method=method, path=path):
                    reply = self.daemon.request(method, path, body, {**headers, "Content-Type": "text/plain"})
                    self.assertEqual(reply.status, 403, reply)
                    self.assertIn("browser", reply.text.lower())
                    self.assertNotIn("access-control-allow-origin", reply.headers)
        self.assertEqual(self.daemon.invoke("counter", {}).json(), 0, "no refused request ran")

    def test_the_address_bar_may_read(self):
        self.assertEqual(self.daemon.request("GET", "/metrics", headers={"Sec-Fetch-Site": "none"}).status, 200)

    def test_function_urls_take_browsers(self):
        for headers in ({"Origin": "http://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}):
            self.assertEqual(self.daemon.request("GET", "/fn/page", headers=headers).status, 200)

    def test_hosts_that_are_served(self):
        port = self.daemon.port
        for host in ("127.0.0.1", f"127.0.0.1:{port}", "localhost", f"LocalHost:{port}", "[::1]", f"[::1]:{port}", "127.1.2.3",
                     "hearth.example", f"hearth.example:{port}"):
            with self.subTest(host=host):
                self.assertEqual(self.daemon.request("GET", "/2015-03-31/functions", headers={"Host": host}).status, 200)

    def test_a_rebound_host_is_refused(self):
        for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.1@evil.example", "10.0.0.1", "0.0.0.0",
                     "evil.example:80", "[fe80::1]", "xlocalhost", "127.0.0.1:80:80", "2130706433", "0x7f.1"):
            for method, path, body in (*self.guarded(), ("GET", "/fn/page", None)):
                with self.subTest(host=host, path=path):
                    reply = self.daemon.request(method, path, body, {"Host": host})
                    self.assertIn(reply.status, (421, 400), reply)
        self.assertEqual(self.daemon.invoke("counter", {}).json(), 0)

    def test_an_absolute_target_does_not_get_round_the_host_check(self):
        answer = self.daemon.raw(b"GET http://evil.example/2015-03-31/functions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        self.assertRegex(answer, rb"^HTTP/1\.1 (421|400) ")

    def test_the_state_folder_is_private(self):
        self.assertEqual(stat.S_IMODE(self.daemon.state.stat().st_mode), 0o700)

    def test_a_real_browser_on_a_functions_page(self):
        chromium = shutil.which("chromium")
        if chromium is None:
            self.skipTest("chromium is not installed: tests/install_packages browser")
        profile = tempfile.mkdtemp(prefix="hearth-chromium-")
        self.addCleanup(shutil.rmtree, profile, ignore_errors=True)
        url = f"http://page.localhost:{self.daemon.port}/"
        done = subprocess.run(
            [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", f"--user-data-dir={profile}",
             "--virtual-time-budget=20000", "--dump-dom", url],
            capture_output=True, text=True, timeout=120 * PATIENCE, check=False, env={**os.environ, "HOME": profile})
        found = re.search(r"RESULT (.*) END", done.stdout)
        self.assertTrue(found, done.stdout[-2000:] + done.stderr[-2000:])
        results = dict(part.split("=") for part in found.group(1).split())
        self.assertEqual(results.pop("own_origin"), "200", results)
        # "opaque": the page may not see the answer, which was a 403. What counts is that nothing ran:
        self.assertLessEqual(set(results.values()), {"blocked", "opaque"}, results)
        self.assertEqual(self.daemon.invoke("counter", {}).json(), 0, "a page made a function run")
        self.assertIn("counter", self.daemon.cli("list", check=0).stdout)


class Addresses(DaemonTest):
    shared = False

    def refused(self, config=None, listen="127.0.0.1:0", arguments=(), owner=None, **kwargs):
        """Starts a daemon that must refuse to; returns what it says. `owner`: of the state folder, when it is not the daemon's."""
        daemon = Daemon(config, listen=listen, arguments=arguments, **kwargs)
        self.addCleanup(daemon.remove)
        if owner is not None:
            os.chown(daemon.state, owner, owner)
        done = subprocess.run(daemon.command, capture_output=True, text=True, timeout=60 * PATIENCE, env=daemon.environment(), check=False)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        return done.stdout + done.stderr

    def test_only_loopback_is_listened_on(self):
        for address in ("0.0.0.0:0", "[::]:0", "192.0.2.1:0", ":4327"):
            with self.subTest(address=address):
                text = self.refused(listen=address)
                self.assertRegex(text, "listen_not_allowed" if address != ":4327" else "not an address")

    def test_ipv6_loopback(self):
        interfaces = pathlib.Path("/proc/net/if_inet6")
        if not interfaces.exists() or "lo" not in interfaces.read_text():
            self.skipTest("this machine has no IPv6 loopback")
        daemon = self.own_daemon(listen="[::1]:0", start=False).spawn()
        address = daemon.state / "listen"
        text = wait_until(lambda: address.exists() and address.read_text().strip(), "the address", 30)
        self.assertTrue(text.splitlines()[0].startswith("[::1]:"), text)

    def test_a_public_listener_serves_functions_only(self):
        daemon = self.own_daemon({"http": {"functions_listen": "0.0.0.0:0"}}, start=False)
        daemon.start()
        daemon.python("hello", "def handler(event, context):\n    return 'hi'\n")
        lines = (daemon.state / "listen").read_text().split()
        self.assertGreaterEqual(len(lines), 2, "the second line is the address of functions_listen")
        main, daemon.port = daemon.port, int(lines[1].rsplit(":", 1)[1])
        try:
            self.assertEqual(daemon.request("GET", "/fn/hello", headers={"Host": "www.example"}).text, "hi")
            self.assertEqual(daemon.request("GET", "/healthz", headers={"Host": "www.example"}).status, 200)
            for method, path in (("GET", "/2015-03-31/functions"), ("POST", INVOKE.format("hello")), ("GET", "/metrics"), ("GET", "/readyz"),
                                 ("GET", "/hearth/v1/functions/hello/logs"), ("DELETE", "/2015-03-31/functions/hello")):
                with self.subTest(path=path):
                    self.assertEqual(daemon.request(method, path, headers={"Host": "localhost"}).status, 404)
        finally:
            daemon.port = main

    def test_confinement_is_weakened_in_hearth_yaml_only(self):
        self.assertRegex(self.refused(sandbox="off"), "i-know-this-is-unsafe")
        self.assertRegex(self.refused({"sandbox": {"mode": "off"}}), "i-know-this-is-unsafe")

    def test_an_unknown_mode_and_an_unknown_key_name_the_known(self):
        self.assertRegex(self.refused(sandbox="strictest"), "strict")
        text = self.refused({"sandbx": {"mode": "auto"}})
        self.assertIn("sandbox", text)
        text = self.refused({"limits": {"quue": 5}})
        self.assertIn("queue", text)

    def test_a_mode_that_can_not_be_met_is_refused(self):
        if not IS_ROOT:
            self.skipTest("needs root, to run a daemon as somebody who can't have strict mode")
        text = self.refused(sandbox="strict", user=True)
        self.assertRegex(text, "(?i)strict")
        self.assertRegex(text, "sandbox_unavailable|root|privilege")

    def test_a_state_folder_of_somebody_else_is_refused(self):
        if not IS_ROOT:
            self.skipTest("needs root, to make a folder of another user")
        folder = pathlib.Path(tempfile.mkdtemp(prefix="hearth-foreign-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o777)
        text = self.refused(state=folder, user=True, owner=12345)
        self.assertIn("state", text)


class OneDaemonAState(DaemonTest):
    def picture(self):
        """Everything of the state folder that a daemon could change."""
        found = {}
        for path in [self.daemon.state, *self.daemon.state.rglob("*")]:
            info = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(info.st_mode) else None
            found[str(path)] = (info.st_mode, info.st_uid, info.st_gid, info.st_mtime_ns, info.st_ctime_ns, content)
        return found

    def test_a_second_daemon_fails_before_it_changes_anything(self):
        self.daemon.python("echo", "def handler(event, context):\n    return event\n", "memory: 64MB\n")
        self.assertEqual(self.daemon.invoke("echo", 1).json(), 1)
        stranger = self.daemon.state / "runtimes" / ("0" * 64)  # what another version's shims look like: a start removes them
        stranger.mkdir()
        (stranger / "bootstrap.py").write_text("")
        self.daemon.request("GET", "/hearth/v1/functions/echo/logs")  # what is logged is in its file
        before = self.picture()
        others = [{}, {"user": "12345"}] if IS_ROOT else [{}]
        for config in others:
            with self.subTest(config=config):
                file = self.daemon.work / "second.yaml"
                file.write_text(json.dumps(config))
                done = self.daemon.cli("serve", "--config", file, "--state", self.daemon.state, "--listen", "127.0.0.1:0", server=False)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("state_unusable", done.stderr)
                self.assertIn(str(self.daemon.pid), done.stderr)
                self.assertEqual(self.picture(), before)
        self.assertEqual(self.daemon.invoke("echo", 2).json(), 2)


if __name__ == "__main__":
    unittest.main()
