"""`selfdrive init`: what it finds, what it writes, what it leaves alone."""

import tomllib
from pathlib import Path

import pytest
from fakes.made_repository import MadeRepository
from fakes.selfdrive_program import selfdrive
from hypothesis import given
from hypothesis import strategies as st

from selfdrive_dagster.cli.init import draft
from selfdrive_dagster.config import Found, Settings, load, parse


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    made = MadeRepository(tmp_path / "shop")
    made.write("shop/__init__.py", "")
    made.write("tests/test_shop.py", "")
    made.commit("Begin")
    return made.path


def test_it_writes_what_it_found(shop: Path) -> None:
    said = selfdrive("init", cwd=shop)
    assert said.code == 0, said.err
    assert "source      shop" in said.out
    settings = load(shop)
    assert settings.service.source == ("shop",)
    assert settings.service.branch == "main"
    assert settings.autonomy.level == "L1"


def test_it_says_what_it_could_not_find(tmp_path: Path) -> None:
    said = selfdrive("init", "--json", cwd=tmp_path)
    assert said.code == 0, said.err
    told = said.json()
    assert told["branch"] is None
    assert told["found"]["source"] == []
    for missing in ("[service] source", "No tests", "No git repository"):
        assert any(missing in sentence for sentence in told["missing"])


def test_it_overwrites_only_when_forced(shop: Path) -> None:
    path = shop / "selfdrive.toml"
    path.write_text("# mine\n")
    said = selfdrive("init", cwd=shop)
    assert said.code == 3
    assert "--force" in said.err
    assert path.read_text() == "# mine\n"
    assert selfdrive("init", "--force", cwd=shop).code == 0
    assert path.read_text() != "# mine\n"


def test_print_writes_nothing(shop: Path) -> None:
    before = sorted(shop.iterdir())
    said = selfdrive("init", "--print", cwd=shop)
    assert tomllib.loads(said.out)["service"]["source"] == ["shop"]
    assert sorted(shop.iterdir()) == before


def test_no_path_of_this_machine_enters_the_file(shop: Path) -> None:
    assert selfdrive("init", cwd=shop).code == 0
    assert str(shop) not in (shop / "selfdrive.toml").read_text()


def test_a_folder_that_is_not_there_is_told(shop: Path) -> None:
    said = selfdrive("init", "nowhere", cwd=shop)
    assert said.code == 2
    assert "nowhere is not a folder" in said.err


def uncommented(text: str) -> str:
    """Turn the defaults that stand in comments into settings."""
    return "\n".join(
        line[2:] if line.startswith("# ") and " = " in line else line for line in text.split("\n")
    )


FOUND = Found(name="shop", source=(), tests=(), python="/usr/bin/python3", python_from="x")


def test_the_comments_show_every_setting_with_its_default(tmp_path: Path) -> None:
    text = draft(FOUND, None, tmp_path)
    assert parse(text, tmp_path / "s").service.name == "shop"
    tables = tomllib.loads(uncommented(text))
    defaults = Settings()
    for section in ("service", "telemetry", "autonomy", "patches", "rollout", "notify"):
        fields = getattr(defaults, section).__struct_fields__
        assert tuple(tables[section]) == fields


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1)


@given(name=NAMES, branch=st.none() | NAMES)
def test_what_it_writes_it_can_read(name: str, branch: str | None) -> None:
    found = Found(name=name, source=(), tests=("tests",), python="/p", python_from="x")
    settings = parse(draft(found, branch, Path("/repo")), Path("/repo/selfdrive.toml"))
    assert settings.service.name == name
    assert settings.service.branch == (branch or "")
