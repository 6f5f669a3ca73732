"""A project's events out of Sentry's API, from any moment until now, each once.

Events are listed newest first, in pages. A window with a fixed end keeps the pages still while new
events come; its cursor is kept page by page. Later pulls take what is new, an hour of overlap for
what Sentry itself got late, and what lies before the first window if more is asked for. Events
that were also received here have the same `event_id`. Only errors and messages: Sentry's API gives
no transactions and sessions in full.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import parse_qs, quote, urlsplit

import msgspec

from selfdrive_dagster.adapters.pulling.asking import GO_ON, TOKEN, Asker, StaleCursor, Unreachable
from selfdrive_dagster.adapters.pulling.places import Places, address
from selfdrive_dagster.adapters.pulling.taking import Taker
from selfdrive_dagster.adapters.receiver.visitors import is_loopback
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.telemetry import Arrival, Records, sentry
from selfdrive_dagster.telemetry.arrivals import Ordinals
from selfdrive_dagster.telemetry.bounds import mapping, moment, parse_json
from selfdrive_dagster.telemetry.rows import join

HOST = "https://sentry.io"
SINCE = "14d"
PER_PAGE = "20"
OVERLAP = timedelta(hours=1)
UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
EXAMPLE = "Write sentry://organisation/project?since=30d."


class SentrySource(msgspec.Struct, frozen=True, kw_only=True):
    """One project of one Sentry; `token` is shown to nobody."""

    organisation: str
    project: str
    host: str
    since: str
    token: str

    @classmethod
    def parse(cls, text: str, environ: Mapping[str, str]) -> "SentrySource":
        """Read `sentry://organisation/project?since=…&host=…`. Raises BadInput or Refused."""
        parts = address(text, EXAMPLE)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        project = parts.path.strip("/")
        if not parts.netloc or not project or "/" in project or "@" in parts.netloc:
            raise BadInput("The source names no organisation and project.", remedy=EXAMPLE)
        if strangers := sorted(set(query) - {"since", "host"}):
            raise BadInput(
                f"The source has {strangers[0]!r}, which we do not know.", remedy=EXAMPLE
            )
        source = cls(
            organisation=parts.netloc,
            project=project,
            host=_host(query.get("host") or environ.get("SENTRY_URL") or HOST),
            since=query.get("since", SINCE),
            token=environ.get("SENTRY_AUTH_TOKEN", ""),
        )
        if not source.token:
            raise BadInput("Sentry's API wants a token.", remedy=TOKEN)
        source.begin(datetime.now(UTC))
        return source

    def __repr__(self) -> str:
        return f"SentrySource({self.shown!r})"

    @property
    def shown(self) -> str:
        """The source as it may be shown."""
        return f"sentry://{self.organisation}/{self.project}"

    @property
    def path(self) -> str:
        """The API's path of the project's events."""
        names = (quote(name, safe="") for name in (self.organisation, self.project))
        return "/api/0/projects/{}/{}/events/".format(*names)

    def begin(self, now: datetime) -> datetime:
        """Return the moment that `since` names. Raises BadInput."""
        number, unit = self.since[:-1], self.since[-1:]
        if number.isascii() and number.isdigit() and len(number) <= 9 and unit in UNITS:
            return now - timedelta(seconds=min(int(number) * UNITS[unit], 10**9))
        named = moment(self.since)
        if named is None or self.since.isdigit() or named > now:
            raise BadInput(
                f"since={self.since[:40]} is no time that has been.",
                remedy="Write a number with w, d, h, m or s, or a date such as 2026-11-01.",
            )
        return named


def _host(given: str) -> str:
    try:
        parts = urlsplit(given)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        bare = given.rpartition("@")[2][:80]  # what stands before it may be a password
        raise BadInput(f"{bare!r} is no address of Sentry.", remedy=f"Write host={HOST}.")
    if parts.scheme == "http" and not is_loopback(host):
        raise Refused(
            f"{given[:80]} is not encrypted: the token would travel in the clear.",
            remedy="Name it with https://.",
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


class Window(msgspec.Struct, frozen=True):
    """A stretch of time that is being pulled; `cursor` is the next page, "" the first."""

    begin: datetime
    end: datetime
    cursor: str = ""


class Place(msgspec.Struct, frozen=True):
    """What was pulled whole, from `begin` to `end`, and the window that was cut off, if any."""

    begin: datetime | None = None
    end: datetime | None = None
    open: Window | None = None


def pull_sentry(
    source: SentrySource, taker: Taker, places: Places, now: datetime, asker: Asker | None = None
) -> None:
    """Take every event from `source.since` until now that was not pulled yet."""
    asker = asker or Asker(source.host, source.token)
    identity = ("sentry", source.host, source.organisation, source.project)
    place = places.read(Place, *identity)
    while (window := next_window(place, source.begin(now), now)) is not None:
        for cursor in _pages(source, window, taker, asker):
            opened = msgspec.structs.replace(window, cursor=cursor)
            place = msgspec.structs.replace(place, open=opened)
            places.keep(place, *identity)
        place = covered(place, window)
        places.keep(place, *identity)


def next_window(place: Place, begin: datetime, now: datetime) -> Window | None:
    """Return what to pull next: what was cut off, what came since, what lies before; else None."""
    if place.open is not None:
        return place.open
    if place.begin is None or place.end is None:
        return Window(begin, now)
    if place.end < now:
        return Window(place.end - OVERLAP, now)
    return Window(begin, place.begin) if begin < place.begin else None


def covered(place: Place, window: Window) -> Place:
    """Return the place once a window was pulled whole."""
    begins = [one for one in (place.begin, window.begin) if one is not None]
    ends = [one for one in (place.end, window.end) if one is not None]
    return Place(begin=min(begins), end=max(ends))


def _pages(source: SentrySource, window: Window, taker: Taker, asker: Asker) -> Iterator[str]:
    """Take a window page by page; yield the cursor of each next one when a page is safe."""
    cursor, is_anew = window.cursor, False
    while True:
        query = {"full": "true", "per_page": PER_PAGE,
                 "start": _said(window.begin), "end": _said(window.end)}  # fmt: skip
        try:
            page = asker.page(source.path, {**query, **({"cursor": cursor} if cursor else {})})
        except StaleCursor:
            if is_anew or not cursor:
                raise
            cursor, is_anew = "", True  # what is known counts once
            continue
        taker.take("sentry", partial(_decode, page.body))
        if not page.next_cursor:
            return
        cursor = page.next_cursor
        yield cursor


def _said(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")


def _decode(body: bytes, arrival: Arrival) -> Records:
    """Return the rows of a page; an event that cannot be read is told and keeps no other out."""
    try:
        events = msgspec.json.decode(body, type=list[msgspec.Raw])
    except msgspec.DecodeError as error:
        raise Unreachable(f"Sentry's answer is no list of events: {error}.", remedy=GO_ON) from None
    ordinals = Ordinals()
    return join(_decode_one(bytes(event), arrival, ordinals) for event in events)


def _decode_one(event: bytes, arrival: Arrival, ordinals: Ordinals) -> Records:
    try:
        return sentry.decode_event(mapping(parse_json(event, "The event")), arrival, ordinals)
    except BadInput as fault:
        return Records(rejected=(fault.message,))
