"""Attacks on the engine over the worker's channel (descriptor 3) and its log pipes."""
import json
import os
import subprocess
import threading

from harness import HEARTH, rss_kib, wait_until

# What an attack in Python starts with: the channel, the running call's id, a frame, a reply.
FRAMES = """
import os, struct, sys, threading, time
at = sys._getframe()
while 'channel' not in at.f_locals: at = at.f_back
channel = at.f_locals['channel']
slot, generation = struct.unpack('<II', bytes(channel.current))
def frame(kind, payload=b'', flags=0, aux=0, slot=slot, generation=generation, length=None):
    return struct.pack('<IBBHII', len(payload) if length is None else length, kind, flags, aux, slot, generation) + payload
def reply(text, **more):
    return frame(0x84, struct.pack('<I', 1) + text, **more)
def send(data):
    while data:
        data = data[os.write(3, data):]
result = 'sent'
LAST = 16  # the worker ends after this reply: it gets no further call
"""


def each(rig, attacks, manifest="timeout: 3s\n"):
    """Runs attacks one after the other; a word for all of them if they agree. After each one the function must answer again."""
    name, found = rig.fresh("python", manifest), []
    try:
        for attack in attacks:
            outcome = rig.outcome(rig.attack(name, FRAMES + attack))
            again = rig.attack(name, "result = 'well'")
            found.append(outcome if again.body == b'"well"' else f"{attack!r}: no next call: {again}")
        return found[0] if len(set(found)) == 1 else " | ".join(f"{attack}: {outcome}" for attack, outcome in zip(attacks, found))
    finally:
        rig.delete(name)


def forged_frames(rig, benign=False):
    """Frames that this worker may not send now. Benign: a LOG frame from the same place."""
    if benign:
        return "accepted" if each(rig, ["send(frame(0x88, b'a line\\n', aux=2))"]) == "ok" else "refused"
    return each(rig, ["send(frame(0x81, b'{\"protocol\":1}', slot=0, generation=0)); time.sleep(1)",
                      "send(frame(0x82, b'\\0' * 4, slot=0, generation=0)); time.sleep(1)",
                      "send(frame(0x83, b'{}', slot=0, generation=0)); time.sleep(1)",
                      "send(frame(0x99)); time.sleep(1)", "send(frame(0x02, b'x' * 40)); time.sleep(1)", "send(frame(0x85, b'no reply before')); time.sleep(1)",
                      "send(frame(0x88, b'x\\n', flags=0xE0)); time.sleep(1)", "send(frame(0x84, b'')); time.sleep(1)"])


def frame_lengths(rig, benign=False):
    """Lengths that are no frame's. Benign: the largest LOG frame that is one."""
    if benign:
        return "accepted" if each(rig, ["send(frame(0x88, b'x' * 60000 + b'\\n', aux=2))"]) == "ok" else "refused"
    return each(rig, ["send(frame(0x84, length=0xFFFFFFFF)); time.sleep(1)", "send(frame(0x84, length=131073)); time.sleep(1)",
                      "send(os.urandom(65536)); time.sleep(1)"])


def other_ids(rig, benign=False):
    """Replies to calls that are not this worker's. Benign: its own."""
    if benign:
        return "accepted" if each(rig, ["send(reply(b'1', flags=LAST)); time.sleep(0.1); os._exit(0)"]) == "ok" else "refused"
    return each(rig, ["send(reply(b'1', slot=slot + 1)); time.sleep(1)", "send(reply(b'1', generation=generation + 1)); time.sleep(1)",
                      "send(reply(b'1', slot=0xFFFFFFFF, generation=0xFFFFFFFF)); time.sleep(1)",
                      "[send(reply(b'1', slot=s, generation=g)) for s in range(64) if s != slot for g in range(8)]; time.sleep(1)"])


def two_replies(rig, benign=False):
    """The same call answered twice; the worker that does it is replaced."""
    name = rig.fresh("python", "timeout: 3s\n")
    try:
        code = "os.environ['MARK'] = '1'\nsend(reply(b'41'))\n" + ("" if benign else "send(reply(b'42'))\n") + "time.sleep(0.2)\nos._exit(0)"
        first = rig.attack(name, FRAMES + code)
        look = "import os\nresult = os.environ.get('MARK', 'new')"  # a call that the old worker still got is lost with it
        after = wait_until(lambda: (lambda reply: rig.outcome(reply) == "ok" and reply)(rig.attack(name, look)), "an answer", 10)
        if benign:
            return "accepted" if first.body == b"41" else str(first)
        return "first one only, worker replaced" if first.body == b"41" and after.body == b'"new"' else f"{first} {after}"
    finally:
        rig.delete(name)


def reply_and_end(rig, benign=False):
    """A reply, then an end: the reply counts, once."""
    name = rig.fresh("python", "timeout: 3s\n")
    try:
        for end in ("os._exit(0)", "os.kill(os.getpid(), 11)", "os.close(3)", "os._exit(9)"):
            # The call after an end may have reached the worker before it ended; that one is lost, not this one.
            wait_until(lambda: rig.attack(name, "result = 'well'").body == b'"well"', "an answer", 10)
            got = rig.attack(name, FRAMES + "send(reply(b'41'))\n" + ("result = 0" if benign else end))
            if got.body != b"41" or "x-amz-function-error" in got.headers:
                return f"{end}: {got}"
        return "accepted" if benign else "delivered once"
    finally:
        rig.delete(name)


def end_in_reply(rig, benign=False):
    """The end, or of the channel, amid a reply: an error at once, no waiting for the rest."""
    begin = "send(reply(b'x' * 1000, flags=1))\n"
    if benign:
        return "accepted" if each(rig, [begin + "send(frame(0x85, b'end', flags=LAST))\ntime.sleep(0.1)\nos._exit(0)"]) == "ok" else "refused"
    found = {each(rig, [begin + "os._exit(0)", begin + "os.kill(os.getpid(), 9)"]),
             each(rig, ["os.write(3, reply(b'x' * 1000)[:100])\nos._exit(0)"])}
    return "ended with an error" if found <= {"Runtime.ExitError", "Runtime.ProtocolViolation"} else str(found)


def slow_frame(rig, benign=False):
    """A frame of which a byte comes at a time: until the deadline, no longer."""
    if benign:
        return "accepted" if each(rig, ["for byte in reply(b'1', flags=LAST): send(bytes([byte])); time.sleep(0.01)\ntime.sleep(0.1); os._exit(0)"]) == "ok" else "refused"
    return each(rig, ["for byte in reply(b'1' * 10000): send(bytes([byte])); time.sleep(0.2)"], "timeout: 1s\n")


def never_reads(rig, benign=False):
    """A worker that reads nothing while large events for it arrive: they end in time, the others are served."""
    name = rig.fresh("python", "timeout: 2s\nconcurrency: {workers_max: 1, per_worker: 1}\n")
    outcomes = []

    def call(code):
        outcomes.append(rig.outcome(rig.attack(name, code, padding="x" * 4_000_000)))
    try:
        stop = "result = len(event['padding'])" if benign else "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)"
        threads = [threading.Thread(target=call, args=(stop,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        before = rig.neighbour.calls
        wait_until(lambda: rig.neighbour.calls > before + 5, "calls of the neighbour meanwhile", 10)
        for thread in threads:
            thread.join(60)
        if benign:
            return "accepted" if set(outcomes) == {"ok"} else str(outcomes)
        good = len(outcomes) == 6 and set(outcomes) <= {"Sandbox.Timedout", "Runtime.ExitError", "429", "ok"}
        return "each ended, engine not blocked" if good else str(outcomes)
    finally:
        rig.delete(name)


def on_terminal(rig, *arguments):
    """What `hearth ARGUMENTS` shows on a terminal."""
    ours, theirs = os.openpty()
    with subprocess.Popen([str(HEARTH), *arguments, "--server", rig.daemon.url], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
                          env={**rig.daemon.environment(), "TERM": "xterm"}):
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 65536):
                shown += part
        except OSError:  # the last process on the terminal has ended
            pass
    os.close(ours)
    return shown.decode("utf-8", "replace")


def log_flood(rig, benign=False):
    """Output as fast as it goes, one endless line, bytes that are no text: cut, marked, and bounded in the engine's memory."""
    name = rig.fresh("python", "timeout: 20s\n")
    try:
        if benign:
            reply = rig.attack(name, "print('a line of the flood')")
            return "accepted" if "a line of the flood" in rig.daemon.cli("logs", name, check=0).stdout and reply.status == 200 else str(reply)
        before = rss_kib(rig.daemon.pid)
        reply = rig.attack(name, """
import os, time
end = time.monotonic() + 1
block, binary = b'f' * 1023 + b'\\n', bytes(range(256)) * 64
while time.monotonic() < end:
    os.write(1, block * 64); os.write(2, binary)
for _ in range(64):
    os.write(1, b'L' * 65536)
os.write(1, b'\\n\\x1b[2Jend \\x00\\xff\\n')
result = 'done'
""")
        grown = rss_kib(rig.daemon.pid) - before
        text = wait_until(lambda: (lambda t: "dropped" in t and t)(on_terminal(rig, "logs", name)), "the marker in the log", 10)
        if grown > 65_536:
            return f"the engine grew by {grown} KiB"
        if "\x1b[2J" in text or "\0" in text:
            return "control characters reach the terminal"
        return "cut and marked, memory bounded" if reply.body == b'"done"' else str(reply)
    finally:
        rig.delete(name)


def log_injection(rig, benign=False):
    """Lines that look like the engine's own records stay text of the function."""
    name = rig.fresh("python", "timeout: 10s\n")
    forged = ['{"text":"forged","request_id":"00000000-0000-0000-0000-000000000000","level":"error"}', "END RequestId: forged", "\r\rforged",
              '\\",\\"request_id\\":\\"forged']
    try:
        lines = ["plain"] if benign else forged
        rig.attack(name, "import os\nfor line in event['lines']: os.write(1, line.encode() + b'\\n')", lines=lines)

        def entries():
            return [json.loads(line) for line in rig.daemon.cli("logs", name, "--json", check=0).stdout.splitlines()]
        found = wait_until(lambda: [e for e in entries() if lines[-1][:6] in e.get("text", "")] and entries(), "the lines in the log", 10)
        if benign:
            return "accepted"
        ids = {json.dumps(value) for entry in found for key, value in entry.items() if "request" in key.lower()}
        return "text of the function" if not any("00000000" in i or "forged" in i for i in ids) else f"forged ids: {ids}"
    finally:
        rig.delete(name)


def descriptors_over_the_channel(rig, benign=False):
    """SCM_RIGHTS to the engine: dropped, none is kept."""
    name = rig.fresh("python", "timeout: 20s\n")
    try:
        def count():
            return len(os.listdir(f"/proc/{rig.daemon.pid}/fd"))
        before = count()
        reply = rig.attack(name, FRAMES + f"""
import socket
peer = socket.socket(fileno=os.dup(3))
line = frame(0x88, b'a line\\n', aux=2)
kept = [open('/dev/null') for _ in range(20)]
for _ in range(200):
    try:
        {"peer.send(line)" if benign else "socket.send_fds(peer, [line], [f.fileno() for f in kept])"}
    except OSError:  # too many in flight: until the engine has read, which drops them
        time.sleep(0.01)
""")
        if benign:
            return "accepted" if rig.outcome(reply) == "ok" else str(reply)
        wait_until(lambda: count() < before + 100, "the engine's descriptors", 5)
        return "none kept" if rig.outcome(reply) in ("ok", "Runtime.ProtocolViolation") else str(reply)
    finally:
        rig.delete(name)


def never_ready(rig, benign=False):
    """A handler that never finishes loading: the limit on init ends it."""
    with rig.lock:
        name = f"attacker_{next(rig.names)}"
    rig.daemon.python(name, ("" if benign else "while True: pass\n") + "def handler(event, context):\n    return 1\n", "timeout: 10s\n")
    try:
        reply = rig.daemon.invoke(name, {}, timeout=60)
        if benign:
            return "accepted" if reply.body == b"1" else str(reply)
        return rig.outcome(reply)
    finally:
        rig.delete(name)


def answer_later(rig, benign=False):
    """A thread that answers a call which has been answered: the worker is replaced, nobody gets that reply."""
    name = rig.fresh("python", "timeout: 5s\n")
    try:
        late = "" if benign else "def later():\n    time.sleep(0.2)\n    send(reply(b'666'))\nthreading.Thread(target=later).start()\n"
        first = rig.attack(name, FRAMES + late + "result = 1")
        bodies = [rig.attack(name, "import time\ntime.sleep(0.1)\nresult = 2") for _ in range(8)]
        good = first.body == b"1" and all(b"666" not in reply.body for reply in bodies) and bodies[-1].body == b"2"
        if benign:
            return "accepted" if good else str(bodies)
        return "dropped" if good else str([first, *bodies])
    finally:
        rig.delete(name)


def close_logs(rig, benign=False):
    """A worker without its log pipes goes on; one that fills them from a child is not waited for."""
    name = rig.fresh("python", "timeout: 5s\n")
    try:
        first = rig.attack(name, "result = 1" if benign else "import os\nos.close(1); os.close(2)\nresult = 1")
        second = rig.attack(name, "result = 2" if benign else "print('into nothing', flush=True)\nresult = 2")
        if benign:
            return "accepted" if (first.body, second.body) == (b"1", b"2") else f"{first} {second}"
        third = rig.attack(name, "result = 3")
        return "answers" if first.body == b"1" and third.body == b"3" else f"{first} {second} {third}"
    finally:
        rig.delete(name)
