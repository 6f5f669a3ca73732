"""One reading of protected patterns, for triage, drafting and the policy alike."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from selfdrive_dagster.issues import TriageSettings, triage
from selfdrive_dagster.model import Product
from selfdrive_dagster.model.product import is_protected, protecting
from selfdrive_dagster.patches.templates.generate import is_editable
from selfdrive_dagster.validation import check_policy
from tests.issues.test_triage import CODE

CASES = {
    "a folder at the top": ("auth/**", "auth/login.py", True),
    "a folder at any depth": ("auth/**", "shop/auth/login.py", True),
    "a folder, depth written out": ("**/auth/**", "shop/auth/deep/login.py", True),
    "depth written out, no folder before": ("**/auth/**", "auth/login.py", True),
    "depth written out twice": ("**/**/auth/**", "auth/login.py", True),
    "no folder between": ("shop/**/keys.py", "shop/keys.py", True),
    "a longer name": ("auth/**", "shop/author/page.py", False),
    "the end of a name": ("auth/**", "shop/oauth/page.py", False),
    "an ending": ("*.lock", "shop/poetry.lock", True),
    "an ending that goes on": ("*.lock", "shop/poetry.lock.py", False),
    "one file": ("shop/auth.py", "shop/auth.py", True),
    "one file, below": ("shop/auth.py", "src/shop/auth.py", True),
    "one file of another folder": ("shop/auth.py", "stock/auth.py", False),
    "a bare name": ("auth.py", "src/shop/auth.py", True),
    "a path of telemetry": ("shop/auth.py", "/srv/app/shop/auth.py", True),
    "a leading slash": ("/shop/auth.py", "shop/auth.py", True),
    "a leading slash, below": ("/auth/**", "shop/auth/login.py", True),
    "a trailing slash": ("shop/auth/", "shop/auth/login.py", True),
    "a folder by its name": ("auth", "shop/auth/login.py", True),
    "another case in the pattern": ("shop/Auth/**", "shop/auth/login.py", True),
    "another case in the path": ("auth/**", "shop/AUTH/Login.py", True),
    "a dot before": ("auth/**", "./auth/login.py", True),
    "a star over folders": ("shop/pay/*.py", "shop/pay/card/visa.py", True),
    "an empty pattern": ("", "shop/auth.py", False),
    "a slash alone": ("/", "shop/auth.py", False),
}


@pytest.mark.parametrize("name", CASES)
def test_patterns(name: str) -> None:
    pattern, path, expected = CASES[name]
    assert is_protected(path, (pattern,)) is expected


def test_the_patterns_that_hold_are_named_in_their_order() -> None:
    assert protecting("shop/auth/a.py", ("pay/**", "*.py", "auth/**")) == ("*.py", "auth/**")


CODE_PATHS = [n for n, (_, path, _) in CASES.items() if path[0].isalpha() and path[-3:] == ".py"]


@pytest.mark.parametrize("name", CODE_PATHS)
def test_all_three_readers_agree(name: str, tmp_path: Path) -> None:
    pattern, path, expected = CASES[name]
    product = Product(name="p", root=str(tmp_path), python="python", protected=(pattern,))
    spared = triage(replace(CODE, in_app_paths=(path,)), TriageSettings(protected=(pattern,)))
    policy = check_policy("", {path: "x = 1\n"}, product)
    assert (
        spared.reasons == ("protected_path",),
        not is_editable(path, product),
        f"{path} is protected by {pattern}" in policy.says,
    ) == (expected, expected, expected)
