"""Attacks over the network. Those on `network: egress` name an allowlist."""
import os
import socket
import sys
import threading

PORT = 20_000 + os.getpid() % 10_000

LISTEN = """
import socket, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    s.bind((event['address'], event['port'])); s.listen()
    time.sleep(1)
    result = 'bound'
except OSError as error:
    result = str(error.errno)
s.close()
"""


def at_once(actions):
    """Runs actions in threads; their results in order."""
    results = [None] * len(actions)

    def run(index, action):
        results[index] = action()
    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def same_port(rig):
    """Two functions listen on the same port at once."""
    names = [rig.fresh("python", "timeout: 20s\n"), rig.fresh("python", "timeout: 20s\n")]
    try:
        for name in names:
            rig.attack(name, "result = 1")
        got = [reply.json() for reply in at_once([lambda n=name: rig.attack(n, LISTEN, address="127.0.0.1", port=PORT) for name in names])]
        return {("bound", "bound"): "each its own", ("98", "bound"): "second refused"}.get(tuple(sorted(got)), str(got))
    finally:
        for name in names:
            rig.delete(name)


def reach_another(rig):
    """One function listens on all its addresses, another connects."""
    names = [rig.fresh("python", "timeout: 20s\n"), rig.fresh("python", "timeout: 20s\n")]
    connect = """
import socket, time
result = 'refused'
for _ in range(6):
    try:
        socket.create_connection(('127.0.0.1', event['port']), 1).close()
        result = 'connected'
        break
    except OSError:
        time.sleep(0.1)
"""
    try:
        rig.attack(names[1], "result = 1")
        got = at_once([lambda: rig.attack(names[0], LISTEN, address="0.0.0.0", port=PORT + 1), lambda: rig.attack(names[1], connect, port=PORT + 1)])
        return got[1].json() if got[0].body == b'"bound"' else str(got)
    finally:
        for name in names:
            rig.delete(name)


def management(rig):
    """The engine's own API from inside: on each of the host's addresses, by each trick with the Host header."""
    code = """
import http.client
result = 'refused'
for address in event['addresses']:
    try:
        c = http.client.HTTPConnection(address, event['port'], timeout=2)
        c.request('GET', '/2015-03-31/functions', headers={'Host': 'localhost'})
        if c.getresponse().status == 200: result = 'reached'
    except OSError: pass
"""
    name = rig.fresh("python", "timeout: 30s\n")
    try:
        return rig.attack(name, code, addresses=["127.0.0.1", "localhost", "0.0.0.0", "127.1.2.3", rig.services.host], port=rig.daemon.port).json()
    finally:
        rig.delete(name)


EGRESS = "timeout: 30s\nnetwork: {{mode: egress, allow: [{}]}}\n"


def rebinding(rig):
    """A name that is allowed and resolves to the host's loopback is refused when it is connected to."""
    name = rig.fresh("python", EGRESS.format(f'"localhost:{rig.services.port}"'))
    code = """
import socket
result = 'refused at connect'
for address in ('localhost', '127.0.0.1'):
    try:
        socket.create_connection((address, event['port']), 3).close()
        result = 'connected'
    except OSError: pass
"""
    try:
        accepted = len(rig.services.accepted)
        outcome = rig.attack(name, code, port=rig.services.port).json()
        return outcome if len(rig.services.accepted) == accepted or outcome == "connected" else "reached the host"
    finally:
        rig.delete(name)


def rebinding_control(rig):
    with socket.create_connection(("localhost", rig.services.any_port), 3):
        return "connected"


# Every way to write an address of this machine.
REACH_THIS_MACHINE = """
import socket
result = 'refused'
for address in ('127.0.0.1', '127.1.2.3', '0.0.0.0', '::ffff:127.0.0.1', '::ffff:0.0.0.0', 'localhost', '2130706433'):
    for flags in (0, socket.SOCK_NONBLOCK):
        try:
            family = socket.AF_INET6 if ':' in address else socket.AF_INET
            s = socket.socket(family, socket.SOCK_STREAM | flags)
            s.connect((address, event['port']))
            result = 'connected'
        except BlockingIOError: result = 'connected'
        except OSError: pass
"""


def engine_from_host(rig):
    """The engine's listener from a function that has the machine's network, and reaches another listener there."""
    name = rig.fresh("python", "network: host\ntimeout: 20s\n")
    try:
        other = rig.attack(name, REACH_THIS_MACHINE, port=rig.services.any_port).json()
        return rig.attack(name, REACH_THIS_MACHINE, port=rig.daemon.port).json() if other == "connected" else f"another listener: {other}"
    finally:
        rig.delete(name)


def engine_from_host_control(rig):
    """The very same code, here."""
    names = {"event": {"port": rig.daemon.port}}
    exec(REACH_THIS_MACHINE, names)  # pylint: disable=exec-used
    return names["result"]


def connect_flood(rig):
    """2,000 connections at once to an address that nobody answers: the function meets a limit, the engine goes on."""
    name = rig.fresh("python", EGRESS.format('"203.0.113.0/24:81"'))
    code = """
import socket, errno
kept, failed = [], None
for i in range(2000):
    try:
        s = socket.socket(); s.setblocking(False); kept.append(s)
        s.connect(('203.0.113.1', 81))
    except BlockingIOError: continue
    except OSError as error:
        failed = errno.errorcode[error.errno]
        break
result = failed
"""
    try:
        before = len(os.listdir(f"/proc/{rig.daemon.pid}/fd"))
        got = rig.attack(name, code)
        after = len(os.listdir(f"/proc/{rig.daemon.pid}/fd"))
        return "capped" if got.status == 200 and got.body != b"null" and after < before + 300 else f"{got}, {after - before} descriptors more"
    finally:
        rig.delete(name)


def connect_flood_control(rig):
    sockets = [socket.create_connection(("127.0.0.1", rig.services.port), 3) for _ in range(300)]
    for one in sockets:
        one.close()
    return "reached"


RACE = """
import ctypes, socket, struct, sys, threading
sys.setswitchinterval(1e-6)  # so that the address changes between any two steps
libc = ctypes.CDLL(None, use_errno=True)
address = (ctypes.c_ubyte * 16)()
port = struct.pack('>H', event['port'])
good, bad = socket.inet_aton(event['allowed']), socket.inet_aton('127.0.0.1')
ctypes.memmove(address, struct.pack('<H', 2) + port + good, 8)
running = True
def flip():
    while running:
        ctypes.memmove(ctypes.addressof(address) + 4, bad, 4); ctypes.memmove(ctypes.addressof(address) + 4, good, 4)
thread = threading.Thread(target=flip); thread.start()
result = 0
for _ in range(event['rounds']):
    s = socket.socket(); s.setblocking(False)
    libc.connect(s.fileno(), address, 16)
    try:
        if s.getpeername()[0] == '127.0.0.1': result += 1
    except OSError: pass
    s.close()
running = False
thread.join()
"""


def address_race(rig):
    """A thread that changes the address between its check and its use."""
    from harness import scaled  # pylint: disable=import-outside-toplevel
    name = rig.fresh("python", EGRESS.format(f'"203.0.113.1/32:{rig.services.port}"'))
    try:
        accepted = len(rig.services.accepted)
        got = rig.attack(name, RACE, 120, port=rig.services.port, allowed="203.0.113.1", rounds=scaled(20_000, 500))
        if got.status != 200 or not got.body.isdigit():
            return str(got)
        return f"{max(got.json(), len(rig.services.accepted) - accepted)} leaks"
    finally:
        rig.delete(name)


def address_race_control(rig):
    """Bare, the changed address is what the kernel sees."""
    scope = {"event": {"port": rig.services.port, "allowed": "203.0.113.1", "rounds": 5000}}
    usual = sys.getswitchinterval()
    try:
        exec(RACE, scope)  # pylint: disable=exec-used
    finally:
        sys.setswitchinterval(usual)
    return "leaks" if scope["result"] > 0 else "no leak in 5,000 rounds"
