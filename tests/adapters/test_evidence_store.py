"""Evidence: found again by its digest, never quietly wrong."""

import stat
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from selfdrive_dagster.adapters.evidence import (
    Evidence,
    EvidenceAltered,
    EvidenceNotRecorded,
)
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import Check, digest


def check(says: str = "it held") -> Check:
    return Check(name="full_suite", passed=None, says=says, numbers={"tests": 3})


def test_a_record_comes_back_by_its_digest(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    sha256 = evidence.put(check())
    assert sha256 == digest(check())
    assert evidence.get(sha256, Check) == check()
    assert evidence.path(sha256) == tmp_path / "evidence" / sha256[:2] / f"{sha256[2:]}.json"
    assert stat.S_IMODE(evidence.path(sha256).stat().st_mode) == 0o600


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(one=st.dictionaries(st.text(), st.integers()), two=st.dictionaries(st.text(), st.text()))
def test_equal_records_are_one_file_and_others_are_not(
    tmp_path: Path, one: dict, two: dict
) -> None:
    evidence = Evidence(tmp_path)
    assert evidence.put(one) == evidence.put(dict(reversed(one.items())))
    assert (evidence.put(one) == evidence.put(two)) == (one == two)
    assert evidence.get(evidence.put(one), dict[str, int]) == one


def test_missing_evidence_was_not_recorded(tmp_path: Path) -> None:
    with pytest.raises(EvidenceNotRecorded, match="NOT RECORDED"):
        Evidence(tmp_path).get("0" * 64, Check)


@pytest.mark.parametrize("damage", [b"", b"{}", None], ids=["emptied", "replaced", "one bit"])
def test_altered_evidence_is_told_apart_and_never_mended(
    tmp_path: Path, damage: bytes | None
) -> None:
    evidence = Evidence(tmp_path)
    sha256 = evidence.put(check())
    path = evidence.path(sha256)
    data = path.read_bytes()
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:] if damage is None else damage)
    with pytest.raises(EvidenceAltered, match="ALTERED"):
        evidence.get(sha256, Check)
    with pytest.raises(EvidenceAltered):
        evidence.put(check())


@pytest.mark.parametrize("name", ["", "abc", "../" + "a" * 61, "A" * 64, "a" * 64 + "\n"])
def test_only_digests_are_paths(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="is not a sha256"):
        Evidence(tmp_path).read(name)


def test_sound_evidence_of_another_type_is_bad_input(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    with pytest.raises(BadInput, match="is no Check"):
        evidence.get(evidence.put({"name": 3}), Check)


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    sha256 = digest(check())
    evidence.path(sha256).mkdir(parents=True)  # the name is taken by a directory
    with pytest.raises(OSError):
        evidence.put(check())
    assert [p.name for p in evidence.path(sha256).parent.iterdir()] == [f"{sha256[2:]}.json"]


def test_many_writers_of_one_record(tmp_path: Path) -> None:
    evidence = Evidence(tmp_path)
    threads = [threading.Thread(target=evidence.put, args=(check("x" * 10**5),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sha256 = digest(check("x" * 10**5))
    assert evidence.get(sha256, Check).says == "x" * 10**5
    assert list(evidence.path(sha256).parent.iterdir()) == [evidence.path(sha256)]


def test_records_are_frozen_structs_as_the_model_has_them(tmp_path: Path) -> None:
    sha256 = Evidence(tmp_path).put(check())
    raw = msgspec.json.decode(Evidence(tmp_path).read(sha256))
    assert raw["passed"] is None  # unknown stays unknown
