"""Attacks on the engine itself: archives, payloads, its processes, its start."""
import base64
import io
import json
import os
import pathlib
import signal
import stat
import subprocess
import zipfile

from harness import PATIENCE, Daemon, descendants, still_alive, wait_until
from rig import daemon_in

HERE = pathlib.Path(__file__).resolve().parent
FINE = "def handler(event, context):\n    return 1\n"


def zipped(entries):
    """A zip of (name, content, mode) entries."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, mode in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.create_system = 3
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return out.getvalue()


def hostile_archives():
    """(what, bytes) of archives that must be refused."""
    fine = ("app.py", FINE, 0o100644)
    link, device = stat.S_IFLNK | 0o777, stat.S_IFBLK | 0o600
    found = [("..", zipped([fine, ("../hearth-hostile-slip", "x", 0o100644)])), ("deep ..", zipped([fine, ("a/b/../../../hearth-hostile-slip", "x", 0o100644)])),
             ("absolute", zipped([fine, ("/tmp/hearth-hostile-slip", "x", 0o100644)])), ("link outside", zipped([fine, ("out", "/etc", link)])),
             ("link ..", zipped([fine, ("out", "../../..", link)])), ("through a link", zipped([fine, ("d", "/tmp", link), ("d/hearth-hostile-slip", "x", 0o100644)])),
             ("device", zipped([fine, ("disk", "", device)])), ("twice", zipped([fine, fine])), ("case", zipped([fine, ("A.txt", "1", 0o100644), ("a.txt", "2", 0o100644)])),
             ("backslashes", zipped([fine, ("..\\..\\hearth-hostile-slip", "x", 0o100644)])), ("empty name", zipped([fine, ("", "x", 0o100644)])),
             ("file as folder", zipped([fine, ("a", "x", 0o100644), ("a/b", "x", 0o100644)])),
             ("bomb", zipped([fine, *((f"zeros{i}", b"\0" * (64 << 20), 0o100644) for i in range(5))])),
             ("25,000 files", zipped([fine, *((f"f{i}", "", 0o100644) for i in range(25_000))])), ("no zip", b"PK\x03\x04" + os.urandom(500)),
             ("cut off", zipped([fine])[:-30])]
    whole = bytearray(zipped([fine, ("bad-name", "x", 0o100644)]))
    found.append(("bad UTF-8", bytes(whole.replace(b"bad-name", b"bad\xff\xfe\xfdme"))))
    found.append(("NUL", bytes(whole.replace(b"bad-name", b"bad\0name"))))
    return found


def create(rig, name, archive):
    body = json.dumps({"FunctionName": name, "Runtime": "python3.11", "Role": "arn:aws:iam::000000000000:role/x", "Handler": "app.handler",
                       "Code": {"ZipFile": base64.b64encode(archive).decode()}})
    return rig.daemon.request("POST", "/2015-03-31/functions", body, timeout=60)


def names_below(folder):
    """Names of all that is there; what others remove meanwhile is passed over."""
    for _, folders, files in os.walk(folder):
        yield from folders
        yield from files


def archives(rig, benign=False):
    """Each is refused with a 4xx and leaves nothing in the state folder or elsewhere."""
    if benign:
        reply = create(rig, "attacker_zip", zipped([("app.py", FINE, 0o100644), ("d/inner", "../app.py", stat.S_IFLNK | 0o777)]))
        if reply.status not in (200, 201):
            reply = create(rig, "attacker_zip", zipped([("app.py", FINE, 0o100644)]))
        rig.delete("attacker_zip")
        return "accepted" if reply.status in (200, 201) else str(reply)
    wrong = []
    for what, archive in hostile_archives():
        reply = create(rig, "attacker_zip", archive)
        if not 400 <= reply.status < 500:
            wrong.append(f"{what}: {reply}")
            rig.delete("attacker_zip")
    left = [name for folder in (rig.daemon.state, "/tmp", rig.daemon.work) for name in names_below(folder) if "hearth-hostile-slip" in name]
    if left:
        wrong.append(f"left: {left}")
    return "; ".join(wrong) or "each refused, nothing left"


def replace_code(rig, benign=False):
    """New code while a call runs: the call sees its own to the end, the next ones the new."""
    code = "import time\ndef handler(event, context):\n    first = open('{root}/data').read()\n    time.sleep(event['wait'])\n    return [first, open('{root}/data').read()]\n"
    code = code.replace("'{root}/data'", "__import__('os').environ['LAMBDA_TASK_ROOT'] + '/data'")
    with rig.lock:
        name = f"attacker_{next(rig.names)}"
    from checks_network import at_once  # pylint: disable=import-outside-toplevel
    try:
        rig.daemon.deploy(name, {"app.py": code, "data": "old"}, "timeout: 20s\n")
        if benign:
            return "accepted" if rig.daemon.invoke(name, {"wait": 0}).json() == ["old", "old"] else "refused"
        rig.daemon.invoke(name, {"wait": 0})

        def deploy():
            rig.daemon.deploy(name, {"app.py": code, "data": "new"}, "timeout: 20s\n")
            return rig.daemon.invoke(name, {"wait": 0}).json()
        running, after = at_once([lambda: rig.daemon.invoke(name, {"wait": 1}).json(), deploy])
        good = running in (["old", "old"], ["new", "new"]) and after == ["new", "new"]
        return "old, then new, never mixed" if good else f"{running} {after}"
    finally:
        rig.delete(name)


def odd_events():
    return [b"[" * 1_000_000, b'{"a":' * 200_000, b"{" + b",".join(b'"k%d":1' % i for i in range(300_000)) + b"}", b'{"a":1,"a":2}', b"NaN", b"1e400", b'"\\ud800"',
            b'"\xc0\xaf"', b"\xef\xbb\xbf{}", b'"\xff"', b"", b"{", b"\0" * 1000, b'{"a":' + b"9" * 500_000 + b"}"]


def odd_json(rig, benign=False):
    """Events and replies that are hardly JSON: an answer for each, and never the end of the engine."""
    from harness import INVOKE  # pylint: disable=import-outside-toplevel
    names = [rig.fresh("python", "timeout: 10s\nmemory: 512MB\n"), rig.fresh("node", "timeout: 10s\nmemory: 512MB\n")]
    try:
        events = [b'{"attack":""}'] if benign else odd_events()
        for name in names:
            for event in events:
                reply = rig.daemon.request("POST", INVOKE.format(name), event, timeout=60)
                if benign and reply.status != 200:
                    return str(reply)
                if reply.status != 200 and not 400 <= reply.status < 500:
                    return f"{event[:20]!r}: {reply}"
        if benign:
            return "accepted"
        name = names[0]
        from checks_channel import FRAMES  # pylint: disable=import-outside-toplevel
        for text in ("b'{' * 100000", "b'\\xff\\xfe'", "b''", "b'\\0' * 1000", "b'NaN'"):
            reply = rig.attack(name, FRAMES + f"send(reply({text}))\ntime.sleep(0.1)\nos._exit(0)")
            if reply.status not in (200, 502):
                return f"{text}: {reply}"
        return "answered, engine well"
    finally:
        for name in names:
            rig.delete(name)


ODD_REPLIES = [{"statusCode": 0}, {"statusCode": 99}, {"statusCode": 1000}, {"statusCode": "200 OK\r\nx-evil: 1"}, {"statusCode": -200},
               {"statusCode": 200, "headers": {"x-a": "b\r\nx-evil: 1"}}, {"statusCode": 200, "headers": {"x-a\r\nx-evil": "1"}},
               {"statusCode": 200, "headers": {"content-length": "99999"}, "body": "short"}, {"statusCode": 200, "headers": {"transfer-encoding": "chunked"}, "body": "5\r\nx"},
               {"statusCode": 200, "headers": {"connection": "upgrade", "upgrade": "evil"}}, {"statusCode": 200, "cookies": ["a=b\r\nx-evil: 1"]},
               {"statusCode": 204, "body": "body of nothing"}, {"statusCode": 200, "headers": {"x-big": "b" * 200_000}}, {"statusCode": 101},
               {"statusCode": 200, "headers": {f"x-{i}": "1" for i in range(2000)}}, {"statusCode": 200, "isBase64Encoded": True, "body": "no base64!"}]


def odd_headers(rig, benign=False):
    """Replies of a function URL that would break HTTP: each comes out as one well-formed answer, and the connection goes on."""
    with rig.lock:
        name = f"attacker_{next(rig.names)}"
    rig.daemon.python(name, "import json\ndef handler(event, context):\n    return json.loads(event['body'])\n", "timeout: 10s\n")
    import http.client  # pylint: disable=import-outside-toplevel
    connection = http.client.HTTPConnection("127.0.0.1", rig.daemon.port, timeout=20 * PATIENCE)
    try:
        for text in [{"statusCode": 200, "headers": {"x-a": "b"}, "body": "x"}] if benign else ODD_REPLIES:
            connection.request("POST", f"/fn/{name}", json.dumps(text))
            reply = connection.getresponse()
            body = reply.read()
            if benign:
                return "accepted" if (reply.status, reply.headers.get("x-a"), body) == (200, "b", b"x") else f"{reply.status} {body}"
            if reply.headers.get("x-evil") or not 200 <= reply.status < 600 or reply.headers.get("upgrade"):
                return f"{text}: {reply.status} {reply.getheaders()}"
        return "one well-formed answer each"
    finally:
        connection.close()
        rig.delete(name)


def own_daemon(rig, **config):
    return daemon_in(rig.mode, config)


def kill_engine(rig, benign=False):
    """kill -9 of the engine with many sandboxes: none lives on, and a new start finds nothing in its way."""
    daemon = own_daemon(rig)
    try:
        daemon.start()
        for index in range(5):
            daemon.python(f"victim{index}", FINE)
            daemon.invoke(f"victim{index}", {})
        below = descendants(daemon.pid)
        if benign:
            return "all live" if len(still_alive(below)) == len(below) else "some ended"
        daemon.process.send_signal(signal.SIGKILL)
        daemon.process.wait()
        wait_until(lambda: not still_alive(below), f"the end of {len(below)} processes", 10)
        daemon.process = None
        daemon.start()
        if daemon.invoke("victim1", {}).body != b"1":
            return "no call after the new start"
        daemon.stop()
        return "no survivors, starts again" if len(below) >= 10 else f"only {len(below)} processes"
    finally:
        daemon.end()


def kill_spawner(rig, benign=False):
    """kill -9 of the spawner: the sandboxes end, the daemon says so and exits with 70."""
    daemon = own_daemon(rig)
    try:
        daemon.start()
        daemon.python("victim", FINE)
        daemon.invoke("victim", {})
        below = descendants(daemon.pid)
        if benign:
            return "all live" if len(still_alive(below)) == len(below) else "some ended"
        os.kill(daemon.spawner_pid(), signal.SIGKILL)
        code = daemon.process.wait(20 * PATIENCE)
        daemon.process = None
        wait_until(lambda: not still_alive(below), "the end of its sandboxes", 10)
        return f"exit {code}, no survivors"
    finally:
        daemon.end()


def impossible_mode(rig, benign=False):
    """A daemon of a plain user that is told to be strict refuses to start."""
    daemon = Daemon(user=True, sandbox="user" if benign else "strict")
    try:
        if benign:
            daemon.start()
            daemon.stop()
            return "starts"
        done = subprocess.run(daemon.command, capture_output=True, text=True, timeout=60 * PATIENCE, env=daemon.environment(), check=False)
        return "refuses to start" if done.returncode != 0 and "sandbox_unavailable" in done.stderr + done.stdout else f"exit {done.returncode}: {done.stderr}"
    finally:
        daemon.end()


# Steps of making a sandbox: (what, number of the call, argument and value that tell it from other uses, modes in which it is a layer).
STEPS = [("namespaces", 435, "", "strict user"), ("root", 155, "", "strict user"), ("mounts", 165, "", "strict user"), ("late mounts", 429, "", "strict user"),
         ("filter", 317, "0 1", "strict user degraded"), ("no_new_privs", 157, "0 38", "strict user degraded"), ("bounding set", 157, "0 24", "strict"),
         ("ambient set", 157, "0 47", "strict user degraded"), ("capabilities", 126, "", "strict user degraded"), ("uid", 117, "", "strict"), ("gid", 119, "", "strict"),
         ("host name", 170, "", "strict user"), ("limits", 160, "", ""), ("session", 112, "", "strict user degraded"), ("parent death", 157, "0 1", "strict user degraded"),
         ("descriptors", 436, "", ""), ("Landlock", 446, "", "landlock")]


def missing_layers(rig, benign=False):
    """A daemon for which one step of making a sandbox fails: it refuses to start, or starts no worker. It never runs code with less."""
    deny = HERE.parents[1] / "build/hostile/deny"
    subprocess.run(["cc", "-O2", "-Wall", "-o", str(deny), str(HERE / "deny.c")], check=True)
    ran, tried = [], 0
    for what, number, arguments, modes in STEPS[:1] if benign else STEPS:
        if rig.mode not in modes.split() and not benign:
            continue
        tried += 1
        call = 9999 if benign else number
        if runs_without(rig, [str(deny), str(call), *arguments.split(), "--"]):
            ran.append(what)
    if benign:
        return "runs" if ran else "never runs"
    return f"runs without {ran}" if ran else "never runs" if tried >= 4 else "nothing was tried"


def runs_without(rig, prefix):
    """Whether a daemon that is started with `prefix` runs a function."""
    daemon = own_daemon(rig, pool={"python3": 0, "nodejs": 0})
    # deny needs a right that the user's daemon has not: no_new_privs is set for it, which every worker has anyway.
    binary = daemon.command.index(str(daemon.binary))
    daemon.command = [*daemon.command[:binary], *(["--no-new-privs"] if binary else []), *prefix, *daemon.command[binary:]]
    try:
        try:
            daemon.start()
        except AssertionError:
            return False
        done = daemon.cli("deploy", daemon.folder("victim", {"app.py": FINE}))
        reply = daemon.invoke("victim", {}, timeout=60)
        return done.returncode == 0 and reply.status == 200 and reply.body == b"1"
    finally:
        daemon.end()


__all__ = [name for name in dir() if not name.startswith("_") and name not in
           ("base64", "io", "json", "os", "pathlib", "signal", "stat", "subprocess", "zipfile", "HERE")]
