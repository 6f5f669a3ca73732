"""The words that reading a file looks for: modules, built-ins, attributes, clocks, dunders.

A change of these tables changes verdicts: give `POLICY` a new version.
"""

import builtins
import re

MODULES = frozenset(
    {
        "os", "sys", "subprocess", "ctypes", "builtins", "bltns", "importlib", "pickle", "marshal",
        "shutil", "inspect", "gc", "multiprocessing", "pty", "base64", "runpy", "pytest",
        "unittest", "pluggy", "sitecustomize", "usercustomize",
    }
)  # fmt: skip
"""Recognised by name alone, also as an attribute (`json.codecs.sys`) and with leading `_`."""

IMPORTED_MODULES = MODULES | frozenset(
    {
        "posix", "nt", "socket", "signal", "threading", "thread", "types", "code", "codeop",
        "pdb", "bdb", "trace", "timeit", "doctest", "atexit", "site", "imp", "pkgutil", "zipimport",
        "faulthandler", "asyncio", "concurrent", "mmap", "fcntl", "resource", "select", "selectors",
        "ssl", "http", "urllib", "requests", "httpx", "aiohttp", "smtplib", "ftplib", "telnetlib",
        "websockets", "socketserver", "xmlrpc", "shelve", "dbm", "dill", "cloudpickle", "nose",
        "mock", "pip", "setuptools", "cffi", "tracemalloc", "tempfile", "webbrowser", "binascii",
        "codecs",
    }
)  # fmt: skip
"""Words that are also good names for a variable: they count where an import binds them."""

HARMLESS = frozenset(
    {
        "os.path.join", "os.path.basename", "os.path.dirname", "os.path.split", "os.path.splitext",
        "os.path.normpath", "os.path.isabs", "os.sep", "os.linesep", "os.fspath", "sys.maxsize",
        "sys.float_info", "http.HTTPStatus", "asyncio.sleep", "codecs.BOM_UTF8",
    }
)  # fmt: skip
HARMLESS_MODULES = ("urllib.parse.", "urllib.error.")
PURE_IMPORTS = frozenset(
    {
        "math", "cmath", "decimal", "fractions", "numbers", "datetime", "calendar", "re", "string",
        "textwrap", "json", "collections", "itertools", "functools", "operator", "typing", "enum",
        "dataclasses", "abc", "copy", "bisect", "heapq", "statistics", "contextlib", "html",
        "unicodedata",
    }
)  # fmt: skip
"""What a patch may import anew, besides the product's own modules and what the file knows."""

BUILTINS = frozenset(
    {
        "eval", "exec", "compile", "open", "globals", "locals", "vars", "setattr", "delattr",
        "breakpoint", "exit", "quit", "SystemExit", "KeyboardInterrupt", "GeneratorExit",
        "attrgetter", "methodcaller",
    }
)  # fmt: skip
ATTRIBUTES = frozenset(
    {
        "system", "popen", "Popen", "kill", "killpg", "fork", "_exit", "environ", "getenv",
        "settrace", "setprofile", "get_objects", "get_referrers", "attrgetter", "methodcaller",
        "open", "unlink", "rmdir", "rmtree", "write_text", "write_bytes", "read_text", "read_bytes",
        "symlink_to", "hardlink_to", "chmod", "chown", "touch", "exec_module", "load_module",
        "FunctionType", "CodeType", "f_globals", "f_locals", "f_builtins", "f_back", "f_code",
        "tb_frame", "gi_frame", "cr_frame", "ag_frame", "co_code", "mro",
        "get_type_hints", "get_annotations", "ForwardRef", "Formatter", "get_field", "eval", "exec",
        "unsafe_load",
    }
)  # fmt: skip
CLOCKS = frozenset({"now", "utcnow", "today", "time_ns", "monotonic", "perf_counter"})
CLOCK_FUNCTIONS = frozenset({f"time.{name}" for name in (
    "time", "time_ns", "monotonic", "perf_counter", "localtime", "gmtime", "ctime", "strftime",
)})  # fmt: skip
DATES = frozenset({"date", "datetime", "fromisoformat", "strptime", "fromtimestamp"})
BROAD = frozenset({"Exception", "BaseException", "ExceptionGroup", "BaseExceptionGroup"})
READ_DUNDERS = frozenset(
    {
        "__init__", "__post_init__", "__new__", "__call__", "__class__", "__name__", "__qualname__",
        "__doc__", "__str__", "__repr__", "__len__", "__iter__", "__next__", "__getitem__",
        "__contains__", "__eq__", "__hash__", "__enter__", "__exit__", "__cause__", "__context__",
        "__version__", "__members__", "__main__", "__all__",
    }
)  # fmt: skip
"""Dunders that may be read; to set or define any other than the next is counted."""
DATA_DUNDERS = frozenset({"__all__", "__slots__", "__version__"})
ANSWERS = frozenset(
    {
        "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__", "__bool__", "__contains__",
        "__instancecheck__", "__subclasscheck__", "__hash__", "__exit__", "__aexit__",
    }
)  # fmt: skip
PROBE = re.compile(r"PYTEST|pytest|unittest|SELFDRIVE_|GITHUB_ACTIONS|^(?:CI|TOX_ENV_NAME)$")
DUNDER = re.compile(r"__\w+?__")
DATE = re.compile(r"^(?:19|20|21)\d\d(?:[-/]|\d{4}$)")
BUILT_IN = frozenset(name for name in dir(builtins) if not name.startswith("_"))
