"""The generic zygote: an interpreter with this shim and nothing else, of which parked workers are copies (engine/design/0012-generic-zygote.md).

It runs with rights that no worker has, so it holds nothing but what is shipped: no function, no third-party package, no frame of the engine.
serve() returns in workers only, and there everything is as after an exec of bootstrap.py in the sandbox.
"""
import importlib
import os
import site
import sys

import _hearth_channel as wire

ROUNDS = 2  # of the exercise: the first leaves behind what is made once, the second sees it in use
SHIM_PATH = os.path.dirname(os.path.abspath(__file__))


def serve(worker):
    """Boots as a worker does, and then makes workers out of itself until the spawner is gone."""
    sys.path.insert(0, SHIM_PATH)
    fork = importlib.import_module("_hearth_fork")  # made by the build: sandbox/zygote_module.cc
    sys.path.remove(SHIM_PATH)
    worker.take_over()
    for _ in range(ROUNDS):
        worker.exercise()
    packages = [path for path in site.getsitepackages() if path in sys.path]
    del sys.modules["_hearth_fork"]
    sys.path_importer_cache.pop(SHIM_PATH, None)
    worker.settle()
    worker.moulding = True  # the forks from here on are the shim's own
    fork.serve()
    worker.moulding = False
    wake(worker, packages)


def wake(worker, packages):
    """In the worker: from its confinement to HELLO."""
    os.set_inheritable(wire.CHANNEL_FD, False)
    main_thread = sys.modules["threading"].main_thread()
    if hasattr(main_thread, "_set_native_id"):
        main_thread._set_native_id()  # Python 3.11 forgets this at a fork
    add_links(packages)
    del sys.modules[__name__]
    worker.exercise()
    worker.park()


def add_links(packages):
    """What an interpreter does at its start with the *.pth files of the folders of packages, which were empty for the zygote."""
    links = []
    for path in packages:
        sys.path_importer_cache.pop(path, None)
        try:
            links += [(path, name) for name in sorted(os.listdir(path)) if name.endswith(".pth") and not name.startswith(".")]
        except OSError:
            pass
    if not links:
        return
    known = {os.path.normcase(path) for path in sys.path}
    streams = sys.stdout, sys.stderr
    # They run before HELLO, where no frame may come: what they print goes to the pipes.
    sys.stdout, sys.stderr = (open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False) for fd in (1, 2))
    try:
        for path, name in links:
            site.addpackage(path, name, known)
    finally:
        sys.stdout, sys.stderr = streams
