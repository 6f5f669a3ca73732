"""The packages that bugs are generated in: well tested, pure Python, their tests in the archive.

Split by package (repair.md §11). The open half may be looked at while templates are written; of
the blind half nobody looks at single bugs, only at figures such as counts. None is a package of
the development pairs, and no test of the templates names one. Left out as too slow for a run of an
hour (their suites take ten seconds and more with lines watched): more-itertools, sqlparse,
pyrsistent, mistune.
"""

import msgspec


class Package(msgspec.Struct, frozen=True):
    """A release with its tests in the source archive.

    `code` are the folders or files mutated, `tests` the command where pytest does not find them.
    """

    name: str
    version: str
    code: tuple[str, ...]
    tests: str = "pytest -q"
    blind: bool = True


PACKAGES = (
    Package("toolz", "1.0.0", ("toolz",), blind=False),
    Package("inflection", "0.5.1", ("inflection",), blind=False),
    Package("tabulate", "0.10.0", ("tabulate",)),
    Package("voluptuous", "0.16.0", ("voluptuous",), "pytest -q voluptuous/tests/tests.py"),
    Package("schema", "0.7.8", ("schema",)),
    Package("unidiff", "1.0.1", ("src/unidiff", "unidiff")),
    Package("python-slugify", "9.1.3", ("slugify", "src/slugify")),
    Package("boltons", "26.2.0", ("boltons",)),
    Package("cssselect", "1.3.0", ("cssselect",)),
    Package("funcy", "2.1", ("funcy",)),
    Package("isodate", "0.7.2", ("src/isodate",)),
    Package("xmltodict", "1.0.4", ("xmltodict.py",)),
    Package("configobj", "5.0.9", ("src/configobj", "src/validate")),
    Package("simpleeval", "1.0.8", ("simpleeval.py",)),
)

REQUIREMENTS = (
    "pytest", "hypothesis", "text-unidecode", "attrs", "lxml", "pytest-subtests", "whatever",
)  # fmt: skip
"""What the suites need beside the packages, in one environment."""
