"""Init code for test_zygote.py: what it leaves behind depends on LEAVE."""
import os
import random
import sys
import threading
import time

import hearth
import snapshot_restore_py

LEAVE = os.environ.get("LEAVE", "")
EVENTS = []
KEPT = []

print("loaded, without its newline", end="")

if LEAVE == "thread":
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
elif LEAVE == "socket":
    import socket
    KEPT.append(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
elif LEAVE == "pipe":
    KEPT.extend(os.pipe())
elif LEAVE == "epoll":
    import select
    KEPT.append(select.epoll())
elif LEAVE == "child":
    import subprocess
    KEPT.append(subprocess.Popen(["/bin/sleep", "3600"]))
elif LEAVE == "timer":
    import signal
    signal.setitimer(signal.ITIMER_REAL, 3600)
elif LEAVE == "shared":
    import mmap
    KEPT.append(mmap.mmap(-1, 4096))
elif LEAVE == "writing":
    KEPT.append(open(os.environ["SCRATCH"], "wb"))
elif LEAVE == "ended thread":
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
elif LEAVE == "reading":
    KEPT.append(open(os.environ["SCRATCH"], "rb", buffering=0))
    KEPT[0].read(2)
elif LEAVE == "forked":
    if os.fork() == 0:
        os._exit(0)
    os.wait()
elif LEAVE == "atfork library":
    import ctypes
    ctypes.CDLL(os.environ["SCRATCH"]).start_helper()
elif LEAVE in ("no fork", "no second fork"):
    real_fork, allowed = os.fork, [int(LEAVE == "no second fork")]

    def fork():
        if not allowed[0]:
            raise OSError(11, "no processes are left")
        allowed[0] -= 1
        return real_fork()

    os.fork = fork


@hearth.before_snapshot
def first_registered():
    EVENTS.append("before 1")


snapshot_restore_py.register_before_snapshot(EVENTS.append, "before 2")
if LEAVE == "bad before":
    hearth.before_snapshot(lambda: 1 // 0)


@snapshot_restore_py.register_after_restore
def restored():
    EVENTS.append("after 1")
    print("restored")


hearth.after_restore(EVENTS.append, "after 2")
if LEAVE == "bad after":
    hearth.after_restore(lambda: 1 // 0)


def handler(event, context):
    do = event.get("do", "")
    if do == "events":
        return EVENTS
    if do == "random":
        return [random.random(), os.getpid(), os.getppid(), os.getsid(0)]
    if do == "read":
        return KEPT[0].read(2).decode()
    if do == "write":
        os.write(1, b"direct\n")
        print("mine")
        return os.getpid()
    if do == "descriptors":
        return sorted(int(name) for name in os.listdir("/proc/self/fd"))
    if do == "exit":
        os._exit(event["status"])
    if do == "exc":
        return [str(kind) for kind in sys.exc_info()]
    return {"message": "Hello " + event.get("name", "nobody")}
