"""The dossier of a change: an auditor's questions, each with an answer and the digests behind it.

The questions are tables, so that a new one is a row. What should have been recorded by where a
change stands and was not is NOT RECORDED, a gap; what lies ahead of it is said to lie ahead.
Belongs here: questions, answers, gaps of the record. Does not belong: fetching it
(`adapters.auditing`).
"""

from collections.abc import Iterator

from selfdrive_dagster.audit.dossier import making, rollouts
from selfdrive_dagster.audit.dossier.asking import Answer, Question, lacks, put
from selfdrive_dagster.audit.dossier.case import OBSERVED, Case, Kept

QUESTIONS: tuple[Question, ...] = (*making.QUESTIONS, *rollouts.QUESTIONS, *making.IN_THE_END)
"""What `selfdrive audit` answers, in this order."""


def answers(case: Case) -> tuple[Answer, ...]:
    """Answer every question about a change."""
    return put(QUESTIONS, case)


def gaps(case: Case) -> Iterator[str]:
    """Yield what the record of a change lacks, first things first."""
    return lacks(case, answers(case))


__all__ = ["OBSERVED", "QUESTIONS", "Answer", "Case", "Kept", "Question", "answers", "gaps"]
