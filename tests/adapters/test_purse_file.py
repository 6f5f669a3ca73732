"""The purse of `selfdrive repair`: a file that remembers over runs, torn ends and kills."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from selfdrive_dagster.adapters.purse_file import NAME, FilePurse
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import Ask, Result
from selfdrive_dagster.patches.asking.money import Caps, Denied, Reserved


def ask(spent: int) -> Ask:
    return Ask(
        generator="claude", purpose="draft", model="m", result=Result.EMPTY, spent_micros=spent
    )


def test_runs_of_a_day_share_its_cap_and_each_has_its_own(tmp_path: Path) -> None:
    caps = Caps(change=10, day=15)
    first, second = (FilePurse(tmp_path, run, caps) for run in ("a", "b"))
    reserved = first.reserve(9, "m")
    assert isinstance(reserved, Reserved)
    assert "per change" in first.reserve(2, "m")[0]
    assert "per day" in second.reserve(7, "m")[0]
    first.settle(reserved, ask(1))
    assert isinstance(second.reserve(10, "m"), Reserved)
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_what_was_never_settled_counts_in_full(tmp_path: Path) -> None:
    FilePurse(tmp_path, "killed", Caps()).reserve(9, "m")
    assert isinstance(FilePurse(tmp_path, "b", Caps(day=10)).reserve(2, "m"), Denied)


def test_a_torn_last_line_was_never_answered_for(tmp_path: Path) -> None:
    purse = FilePurse(tmp_path, "a", Caps(day=10))
    purse.reserve(4, "m")
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(whole + whole[:30])
    assert isinstance(purse.reserve(6, "m"), Reserved)
    assert len((tmp_path / NAME).read_bytes().splitlines()) == 2


def test_a_book_that_cannot_be_read_is_not_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text("{}\n")
    with pytest.raises(BadInput, match=NAME):
        FilePurse(tmp_path, "a", Caps()).reserve(1, "m")


def test_many_at_once_never_pass_the_cap(tmp_path: Path) -> None:
    purses = [FilePurse(tmp_path, str(number), Caps(day=50)) for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda purse: purse.reserve(10, "m"), purses))
    assert sum(isinstance(one, Reserved) for one in answers) == 5
