"""What a handler sees and gives: its context, JSON both ways, errors in Lambda's words, and the search for the handler."""
import importlib
import json
import logging
import os
import sys
import time
import traceback

REPLY_MAX = 6 * 1024 * 1024 + 100  # Lambda's limit, to the byte
STACK_MAX = 100  # frames in an error's stackTrace
MESSAGE_MAX = 262144  # characters of an error's message
IMPORTLIB = os.path.dirname(importlib.__file__)
SHIM_FOLDER = os.path.dirname(os.path.abspath(__file__))


class LoadError(Exception):
    """The handler could not be loaded; `report` is the error object for INIT_ERROR."""

    def __init__(self, report):
        Exception.__init__(self, report["errorMessage"])
        self.report = report


class BadEvent(Exception):
    """The event is not JSON."""


class ClientContext(object):
    """context.client_context: `custom`, `env` and `client`, as the mobile SDKs fill them."""

    def __init__(self, values):
        self.custom = values.get("custom")
        self.env = values.get("env")
        client = values.get("client")
        self.client = Client(client) if isinstance(client, dict) else None


class Client(object):
    def __init__(self, values):
        for name in ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name"):
            setattr(self, name, values.get(name))


class CognitoIdentity(object):
    cognito_identity_id = None
    cognito_identity_pool_id = None


class Context(object):
    """The second argument of a handler. What is the same for all calls is an attribute of the class, set once by configure();
    the rest is computed when asked for. `__dict__` is there for functions that hang something of their own on it."""

    __slots__ = ("_request_id", "_deadline_us", "_extension", "__dict__")

    function_name = ""
    function_version = "$LATEST"
    memory_limit_in_mb = "128"
    log_group_name = ""
    log_stream_name = ""
    identity = CognitoIdentity()
    tenant_id = None
    _arn = ""

    def __init__(self, request_id, deadline_us, extension):
        self._request_id = request_id
        self._deadline_us = deadline_us
        self._extension = extension

    @classmethod
    def configure(cls, init):
        cls.function_name = init.get("function", "")
        cls.function_version = init.get("version", "$LATEST")
        cls.memory_limit_in_mb = str(init.get("memory_mb", 128))
        cls.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/" + cls.function_name)
        cls.log_stream_name = os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")
        cls._arn = init.get("arn", "")

    @property
    def aws_request_id(self):
        return request_id_text(self._request_id)

    @property
    def invoked_function_arn(self):
        return self._extra("arn") or self._arn

    @property
    def client_context(self):
        values = self._extra("clientContext")
        return ClientContext(values) if isinstance(values, dict) else None

    @property
    def logger(self):
        return logging.getLogger()

    def get_remaining_time_in_millis(self):
        return max(0, int(self._deadline_us / 1000.0 - time.monotonic() * 1000.0))

    def log(self, message):
        sys.stdout.write(str(message) + "\n")

    def _extra(self, name):
        if not self._extension:
            return None
        try:
            return json.loads(self._extension.decode("utf-8")).get(name)
        except ValueError:
            return None

    def __repr__(self):
        return "Context(aws_request_id=%s, function_name=%s)" % (self.aws_request_id, self.function_name)


def request_id_text(raw):
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def is_coroutine(handler):
    """Is it run by _hearth_async.py? What merely returns something to be awaited is not."""
    code = getattr(handler, "__code__", None) or getattr(getattr(handler, "__call__", None), "__code__", None)
    return bool(getattr(code, "co_flags", 0) & (0x80 | 0x200))  # a coroutine, an asynchronous generator


# ---- JSON

def _default(value):
    """What Lambda's marshaller takes beyond the json module: Decimal, as a number."""
    if type(value).__name__ == "Decimal":
        return int(value) if value == value.to_integral_value() and abs(value) < 10 ** 15 else float(value)
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_default)
_ascii_encoder = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), default=_default)
_decoder = json.JSONDecoder()


def make_encode():
    """A function from a value to UTF-8 JSON. Non-finite floats come out as NaN and Infinity, as from Lambda.

    The json module's C encoder is called directly where it has the shape that we know, which saves a Python call and
    the set-up of the encoder each time; else the public JSONEncoder does the same work.
    """
    slow = _encoder.encode
    join = "".join

    def encode_slow(value):
        try:
            return slow(value).encode("utf-8")
        except UnicodeEncodeError:  # lone surrogates: JSON can say them, UTF-8 can't
            return _ascii_encoder.encode(value).encode("ascii")

    try:
        markers = {}
        one_shot = json.encoder.c_make_encoder(markers, _default, json.encoder.c_encode_basestring, None, ":", ",", False, False, True)
        if join(one_shot({"a": [1, 1.5, None, "\u00fc"]}, 0)) != '{"a":[1,1.5,null,"\u00fc"]}':
            return encode_slow
    except Exception:
        return encode_slow

    def encode(value):
        try:
            return join(one_shot(value, 0)).encode("utf-8")
        except UnicodeEncodeError:
            return _ascii_encoder.encode(value).encode("ascii")
        except BaseException:
            markers.clear()  # a value that failed half-way leaves its containers behind
            raise

    return encode


def decode_event(event):
    """The slow path of decoding: white space, bytes that are not UTF-8, and good messages for bad JSON."""
    if not event:
        return {}
    if isinstance(event, bytes):
        event = event.decode("utf-8")
    return _decoder.decode(event)


scan_once = _decoder.scan_once


# ---- errors

def error_object(kind, message, stack=(), request_id=None):
    error = {"errorMessage": message, "errorType": kind}
    if request_id is not None:
        error["requestId"] = request_id
    error["stackTrace"] = list(stack)
    return error


def user_stack(trace):
    """The lines of a traceback from the first frame on that is the function's own, innermost STACK_MAX at most."""
    entries = traceback.extract_tb(trace)
    first = 0
    while first < len(entries) and (os.path.dirname(entries[first][0]) in (SHIM_FOLDER, IMPORTLIB)
                                    or entries[first][0].startswith("<frozen importlib")):
        first += 1
    return traceback.format_list(entries[first:][-STACK_MAX:])


def exception_object(error, stack, request_id=None):
    """Error JSON for an exception that came out of a handler, as AWS's Python runtime words it."""
    try:
        message = str(error)
    except Exception:
        message = "<the exception's text could not be made>"
    if len(message) > MESSAGE_MAX:
        message = message[:MESSAGE_MAX] + " (cut)"
    return error_object(type(error).__name__, message, stack, request_id)


def describe(error):
    """The error's lines for the log."""
    text = "[ERROR] %s: %s" % (error["errorType"], error["errorMessage"])
    if error["stackTrace"]:
        text += "\nTraceback (most recent call last):\n" + "".join(error["stackTrace"]).rstrip("\n")
    return text


# ---- loading

def load_handler(name):
    """Finds "module.function" on sys.path; "a/b.f" and "a.b.f" both mean function f of module a.b. Raises LoadError."""
    module_name, dot, function_name = name.rpartition(".")
    if not dot or not module_name or not function_name:
        raise LoadError(error_object("Runtime.MalformedHandlerName", "Bad handler '%s': it must be MODULE.FUNCTION" % name))
    dotted = module_name.replace("/", ".")
    try:
        if dotted.split(".")[0] in sys.builtin_module_names:
            raise LoadError(error_object("Runtime.BuiltInModuleConflict", "Cannot use built-in module %s as a handler module" % module_name))
        module = importlib.import_module(dotted)
    except LoadError:
        raise
    except SyntaxError as error:
        stack = ['  File "%s", line %s\n    %s' % (error.filename, error.lineno, (error.text or "").strip())]
        raise LoadError(error_object("Runtime.UserCodeSyntaxError", "Syntax error in module '%s': %s" % (module_name, error), stack))
    except ImportError as error:
        stack = user_stack(error.__traceback__)
        raise LoadError(error_object("Runtime.ImportModuleError", "Unable to import module '%s': %s" % (module_name, error), stack))
    except MemoryError as error:
        raise LoadError(error_object("Runtime.OutOfMemory", "Out of memory while module '%s' was imported" % module_name,
                                     user_stack(error.__traceback__)))
    except SystemExit as error:
        raise LoadError(error_object("Runtime.ExitError", "Module '%s' called exit(%s) while it was imported" % (module_name, error.code),
                                     user_stack(error.__traceback__)))
    except BaseException as error:
        raise LoadError(exception_object(error, user_stack(error.__traceback__)))
    handler = getattr(module, function_name, None)
    if handler is None:
        raise LoadError(error_object("Runtime.HandlerNotFound", "Handler '%s' missing on module '%s'" % (function_name, module_name)))
    if not callable(handler):
        raise LoadError(error_object("Runtime.HandlerNotFound", "Handler '%s' of module '%s' is not callable" % (function_name, module_name)))
    return handler
