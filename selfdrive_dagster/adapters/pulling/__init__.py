"""Pulling: telemetry that lies elsewhere is read there, and goes the way of what SDKs send.

`sentry://organisation/project?since=30d` reads a project's events from Sentry's API;
`postgresql://…?table=…` reads a table's new rows. Both only read. How far a pull came is kept in
the home (`places`) once the rows are on disk: what is cut off goes on, and what comes twice counts
once.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from selfdrive_dagster.adapters.handing import Handed, patient_writer
from selfdrive_dagster.adapters.intake import Intake
from selfdrive_dagster.adapters.pulling.places import Places
from selfdrive_dagster.adapters.pulling.postgres import PostgresSource, pull_postgres
from selfdrive_dagster.adapters.pulling.sentry import SentrySource, pull_sentry
from selfdrive_dagster.adapters.pulling.taking import Taker
from selfdrive_dagster.errors import BadInput, SelfdriveError
from selfdrive_dagster.model import Progress, silent
from selfdrive_dagster.telemetry import Redactor

__all__ = ["PULLS", "is_source", "pull"]

PULLS = Path("pulls")
"""Where in a home the places are kept."""


class _Prepared(NamedTuple):
    """A source as it may be shown, its service's name, and how to pull from it."""

    shown: str
    service_name: str
    work: Callable[[Taker, Places], None]


def is_source(text: str) -> bool:
    """Say whether an argument names something to pull from, and no file."""
    return "://" in text


def pull(
    text: str,
    home: Path,
    directory: Path,
    redactor: Redactor,
    service_name: str,
    environ: Mapping[str, str],
    progress: Progress = silent,
) -> Handed:
    """Pull from a source into the segments of `directory`; what came is on disk when this returns.

    A source that fails half-way keeps what came, and its fault says how to go on. Raises BadInput
    for an address that cannot be read, Busy when somebody else hands files over.
    """
    scheme = text.partition("://")[0].lower()
    if scheme not in SOURCES:
        raise BadInput(
            f"We cannot pull from {scheme[:20]!r}.",
            remedy="Write sentry://organisation/project or postgresql://user@host/database?table=….",
        )
    source = SOURCES[scheme](text, environ)
    writer = patient_writer(directory, 30.0)
    taker = Taker(
        Intake(writer), redactor, service_name or source.service_name, source.shown, progress
    )
    fault = ""
    try:
        source.work(taker, Places(home / PULLS))
    except SelfdriveError as error:
        fault = str(error)
    finally:
        writer.close()
    tally = taker.tally
    return Handed(path=source.shown, received=tally.received, **tally._asdict(), fault=fault)


def _sentry(text: str, environ: Mapping[str, str]) -> _Prepared:
    source, now = SentrySource.parse(text, environ), datetime.now(UTC)
    return _Prepared(
        source.shown,
        source.project,
        lambda taker, places: pull_sentry(source, taker, places, now),
    )


def _postgres(text: str, _environ: Mapping[str, str]) -> _Prepared:
    source = PostgresSource.parse(text)
    return _Prepared(
        source.shown,
        source.service_name,
        lambda taker, places: pull_postgres(source, taker, places),
    )


SOURCES: Mapping[str, Callable[[str, Mapping[str, str]], _Prepared]] = {
    "sentry": _sentry,
    "postgresql": _postgres,
    "postgres": _postgres,
}
"""Scheme of an address → how it is read."""
