"""Calls functions from Python tests, in the workers and the sandbox that they have in production. Needs libhearth.so.1, nothing else.

    with Engine() as engine:
        function = engine.load("greet/")
        assert function({"name": "you"}) == {"message": "Hello you"}

An exception of the function raises FunctionFailed; what goes wrong beside it (a timeout, a queue that is full) raises HearthError.
LIBHEARTH names another library. Copy this file into a project's tests.
"""
import ctypes
import json
import os
import pathlib
from ctypes import POINTER, byref, c_char_p, c_int32, c_size_t, c_uint32, c_uint64, c_void_p

I_KNOW_THIS_IS_UNSAFE = 1 << 1  # permits Engine(sandbox="off")


class Bytes(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("size", c_size_t)]

    def text(self):
        return ctypes.string_at(self.data, self.size).decode() if self.size else ""


class Options(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("config_path", c_char_p), ("config_yaml", c_char_p), ("state_dir", c_char_p),
                ("listen", c_char_p), ("sandbox", c_char_p), ("log", c_void_p), ("log_ctx", c_void_p), ("log_level", c_int32),
                ("reserved", c_uint32), ("function_log", c_void_p), ("function_log_ctx", c_void_p)]


class Source(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("file_count", c_uint32), ("folder", c_char_p), ("files", c_void_p), ("manifest_path", c_char_p),
                ("manifest_yaml", c_char_p), ("name", c_char_p)]


class Request(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("function", c_char_p), ("payload", Bytes), ("timeout_ms", c_uint64),
                ("client_context_json", c_char_p)]


def sized(structure, **fields):
    """A structure of hearth.h with its size in front; strings become bytes."""
    encoded = {name: value.encode() if isinstance(value, str) else value for name, value in fields.items()}
    return structure(struct_size=ctypes.sizeof(structure), **encoded)


def open_library():
    library = ctypes.CDLL(os.environ.get("LIBHEARTH", "libhearth.so.1"))
    signatures = {
        "engine_open": (c_void_p, POINTER(Options), POINTER(c_void_p)),
        "engine_close": (c_void_p, c_void_p, c_uint64),
        "engine_sandbox": (c_char_p, c_void_p),
        "function_load": (c_void_p, c_void_p, POINTER(Source), c_uint64, c_char_p),
        "function_logs": (c_void_p, c_void_p, c_char_p, c_uint32, c_uint64, POINTER(c_void_p)),
        "invoke": (c_void_p, c_void_p, POINTER(Request), POINTER(c_void_p)),
        "reply_payload": (Bytes, c_void_p),
        "reply_is_error": (ctypes.c_int, c_void_p),
        "reply_release": (None, c_void_p),
        "text_data": (c_char_p, c_void_p),
        "text_free": (None, c_void_p),
        "error_name": (c_char_p, c_void_p),
        "error_message": (c_char_p, c_void_p),
        "error_free": (None, c_void_p),
    }
    for name, (result, *arguments) in signatures.items():
        function = getattr(library, "hearth_" + name)
        function.restype, function.argtypes = result, arguments
    return library


class HearthError(Exception):
    """An error of the platform. `name` is stable: "deadline_exceeded", "queue_full", "manifest_invalid", ..."""

    def __init__(self, name, message):
        super().__init__(f"{name}: {message}")
        self.name = name


class FunctionFailed(Exception):
    """The function raised or threw. `type` and `message` are its exception's, `stack` its stack trace."""

    def __init__(self, error):
        self.type, self.message = error.get("errorType", ""), error.get("errorMessage", "")
        self.stack = error.get("stackTrace") or error.get("trace") or []
        super().__init__(f"{self.type}: {self.message}")


class Engine:
    """An engine with a state folder of its own, which is removed at the end. Thread-safe but for close()."""

    def __init__(self, sandbox=None, flags=0):
        self._library = open_library()
        self._engine = c_void_p()
        self._check(self._library.hearth_engine_open(byref(sized(Options, sandbox=sandbox, flags=flags)), byref(self._engine)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        engine, self._engine = self._engine, c_void_p()
        self._check(self._library.hearth_engine_close(engine, 1000))

    @property
    def sandbox(self):
        """"strict", "user", "degraded" or "off"."""
        return self._library.hearth_engine_sandbox(self._engine).decode()

    def load(self, folder, name=None):
        """The function of a folder, as something to call with an event."""
        folder = pathlib.Path(folder).resolve()
        name = name or folder.name
        self._check(self._library.hearth_function_load(self._engine, byref(sized(Source, folder=str(folder), name=name)), 0, None))
        return lambda event, timeout=10.0: self.call(name, event, timeout)

    def call(self, name, event, timeout=10.0):
        """The reply, parsed. Raises FunctionFailed or HearthError."""
        data = json.dumps(event).encode()
        payload = Bytes(ctypes.cast(ctypes.c_char_p(data), c_void_p), len(data))
        request = sized(Request, function=name, payload=payload, timeout_ms=int(timeout * 1000))
        reply = c_void_p()
        self._check(self._library.hearth_invoke(self._engine, byref(request), byref(reply)))
        try:
            value = json.loads(self._library.hearth_reply_payload(reply).text() or "null")
            if self._library.hearth_reply_is_error(reply):
                raise FunctionFailed(value)
            return value
        finally:
            self._library.hearth_reply_release(reply)

    def logs(self, name, lines=100):
        """What the function printed and logged."""
        text = c_void_p()
        self._check(self._library.hearth_function_logs(self._engine, name.encode(), lines, 0, byref(text)))
        try:
            return self._library.hearth_text_data(text).decode()
        finally:
            self._library.hearth_text_free(text)

    def _check(self, error):
        if not error:
            return
        name, message = (getattr(self._library, f"hearth_error_{part}")(error).decode() for part in ("name", "message"))
        self._library.hearth_error_free(error)
        raise HearthError(name, message)
