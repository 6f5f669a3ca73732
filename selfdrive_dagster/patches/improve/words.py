"""The words by which code is known to be pure: types, built-ins, modules and methods.

What is not in these tables is not known to be pure. Belongs here: the tables. Does not belong: how
code is read (`purity`, `bodies`).
"""

SCALARS = frozenset({"str", "int", "bool", "bytes", "None", "float"})
PLAIN = SCALARS | {"list", "tuple", "dict", "set", "frozenset", "Sequence", "Mapping", "Iterable",
                   "Collection", "Set"}  # fmt: skip
PURE_BUILTINS = frozenset(
    {
        "abs", "all", "any", "bool", "bytes", "chr", "dict", "divmod", "enumerate", "filter",
        "float", "frozenset", "int", "isinstance", "len", "list", "map", "max", "min", "ord", "pow",
        "range", "repr", "reversed", "round", "set", "sorted", "str", "sum", "tuple", "zip",
    }
)  # fmt: skip
PURE_MODULES = frozenset({"math", "cmath", "unicodedata", "itertools", "string"})
PURE_METHODS = frozenset(
    {
        "lower", "upper", "casefold", "title", "capitalize", "swapcase", "strip", "lstrip",
        "rstrip", "split", "rsplit", "splitlines", "partition", "rpartition", "join", "startswith",
        "endswith", "replace", "removeprefix", "removesuffix", "find", "rfind", "index", "rindex",
        "count", "encode", "decode", "isalpha", "isdigit", "isdecimal", "isalnum", "isnumeric",
        "isspace", "isupper", "islower", "zfill", "ljust", "rjust", "center", "translate", "get",
        "items", "keys", "values", "copy", "union", "intersection", "difference", "issubset",
        "issuperset",
    }
)  # fmt: skip
MUTATORS = frozenset({"append", "extend", "insert", "add", "update", "setdefault", "pop", "remove",
                      "discard", "clear", "sort", "reverse", "popleft", "appendleft"})  # fmt: skip
