"""Asking: how a question is put to a case, and what a whole record must hold."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec

from selfdrive_dagster.audit.dossier.case import OBSERVED, Case


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One question answered. `says` None means NOT RECORDED, `is_ahead` that it is yet to come."""

    question: str
    says: str | None
    digests: tuple[str, ...] = ()
    is_ahead: bool = False


class Question(NamedTuple):
    """A row: what is asked, which records must tell, how they are read, and which may tell more.

    `cites` returns the digests of what an answer rests on beside those records.
    """

    asks: str
    needs: tuple[str, ...]
    tell: Callable[[Case], str | None]
    also: tuple[str, ...] = ()
    cites: Callable[[Case], tuple[str, ...]] = lambda _case: ()


def put(questions: Iterable[Question], case: Case) -> tuple[Answer, ...]:
    """Put questions to a case."""
    return tuple(_answer(question, case) for question in questions)


def _answer(question: Question, case: Case) -> Answer:
    missing = [asset for asset in question.needs if case.record(asset) is None]
    is_ahead = bool(missing) and not set(missing) & set(case.expected)
    says = "not reached yet" if is_ahead else None if missing else question.tell(case)
    digests = (*case.digests(*question.needs, *question.also), *question.cites(case))
    return Answer(question=question.asks, says=says, digests=digests, is_ahead=is_ahead)


def lacks(case: Case, found: Iterable[Answer]) -> Iterator[str]:
    """Yield what the record of a change lacks, first things first; `found` are its answers."""
    if not case.of_kind("change.opened"):
        yield "NOT RECORDED: that it was opened"
    for asset in case.expected:
        kept = case.kept.get(asset)
        if kept is None:
            yield f"NOT RECORDED: {asset}"
        elif kept.record is None:
            yield f"{asset}: {kept.fault}"
    for row in case.rows:
        if not (row.entry.run_id or row.entry.signature):
            yield f"row {row.seq} names neither a run nor a signature"
    for row in case.turns:
        if case.observed.get(sha256 := str(row.entry.body[OBSERVED])) is None:
            yield f"row {row.seq} rests on evidence that cannot be had: {sha256[:16]}"
    for answer in found:
        if answer.says is None:
            yield f"NOT RECORDED: {answer.question}"
