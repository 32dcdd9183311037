"""Hooks around a fork of an initialised worker, with the interface of Lambda's `snapshot_restore_py`, and under shorter names as `hearth`.

Functions registered for the time before a snapshot run once, the last registered first, in the process that is about to become a zygote.
Those for the time after a restore run in each worker that was forked from it, in the order of registration. A worker that was
started without a zygote runs neither.
"""
import sys

_before, _after = [], []


def register_before_snapshot(func, *args, **kwargs):
    _before.append((func, args, kwargs))
    return func


def register_after_restore(func, *args, **kwargs):
    _after.append((func, args, kwargs))
    return func


def get_before_snapshot():
    return _before


def get_after_restore():
    return _after


def fill(module):
    """Makes `module`, which the function imports as `hearth` or `snapshot_restore_py`, an interface to the registries here."""
    for public in (register_before_snapshot, register_after_restore, get_before_snapshot, get_after_restore):
        setattr(module, public.__name__, public)
    if module.__name__ == "hearth":
        module.before_snapshot = register_before_snapshot
        module.after_restore = register_after_restore
    module.__doc__ = __doc__


def _registries(getter):
    """Ours, and that of the package when the function brings its own."""
    found = [globals()[getter]()]
    package = getattr(sys.modules.get("snapshot_restore_py"), getter, None)
    if package is not None and package is not globals()[getter]:
        found.append(package())
    return found


def run_before_snapshot():
    for registry in reversed(_registries("get_before_snapshot")):
        while registry:
            func, args, kwargs = registry.pop()
            func(*args, **kwargs)


def run_after_restore():
    for registry in _registries("get_after_restore"):
        for func, args, kwargs in list(registry):
            func(*args, **kwargs)
