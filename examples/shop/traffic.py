"""Visitors for a running shop: bounded, seeded, and only on this machine.

`python traffic.py --url http://127.0.0.1:8000 --seconds 60 --rate 20`

Each visit has its own cookies and browser, and follows one journey. A share of the journeys
walks into each seeded defect; `JOURNEYS` names the shares. The first visits take every
journey once, so that a short run meets them all.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx2

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PASSWORD = "tea-and-toast"
BROWSERS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 15_5) AppleWebKit/605.1.15 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36",
    "Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36",
)
BUYERS = ("ada", "bruno", "chloe", "edda")
FAR_AWAY = (("filipa", "PT"), ("grace", "US"))
WORDS = ("tea", "cup", "toast", "book", "kettle", "")


@dataclass(frozen=True)
class Ask:
    """One request of a journey."""

    method: str
    path: str
    body: dict[str, Any] | None = None
    query: dict[str, str] | None = None


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 means nothing did."""

    status: int
    body: Any = None


@dataclass
class Tally:
    """What one journey met."""

    visits: int = 0
    failed_visits: int = 0
    wrong: int = 0
    statuses: Counter[int] = field(default_factory=Counter)


Walk = Generator[Ask, Answer, bool]
"""Yields requests, gets answers, returns whether an answer was silently wrong."""


def sign_in(name: str) -> Ask:
    """Return the request that signs a seeded member in."""
    return Ask("POST", "/sign-in", {"email": f"{name}@example.org", "password": PASSWORD})


def put(product_id: int, quantity: int = 1) -> Ask:
    """Return the request that puts a product in the cart."""
    return Ask("POST", "/cart/items", {"product_id": product_id, "quantity": quantity})


def browse(chance: random.Random) -> Walk:
    """Look around and leave."""
    yield Ask("GET", "/")
    query = {"q": chance.choice(WORDS), "page": "1", "max_price": chance.choice(("20", "50"))}
    yield Ask("GET", "/products", query=query)
    product_id = chance.randint(1, 7)
    yield Ask("GET", f"/products/{product_id}")
    if chance.random() < 0.5:
        yield Ask("GET", f"/products/{product_id}/reviews")
    if chance.random() < 0.2:
        yield Ask("GET", "/products/999")
    return False


def buy(chance: random.Random) -> Walk:
    """A member buys, looks at the orders and writes a review."""
    yield sign_in(chance.choice(BUYERS))
    for product_id in chance.sample((1, 2, 3, 7, 9, 10), 2):
        yield put(product_id, chance.randint(1, 3))
    if chance.random() < 0.3:
        yield Ask("POST", "/cart/voucher", {"code": chance.choice(("welcome", "spring", "oops"))})
    yield Ask("GET", "/shipping", query={"country": chance.choice(("DE", "AT", "FR"))})
    yield Ask("POST", "/checkout", {"donation": chance.choice(("", "1", "2.50"))})
    if chance.random() < 0.5:
        yield Ask("GET", "/orders")
        yield Ask("GET", "/account/figures")
        yield Ask("GET", "/orders/export")
    review = {"rating": chance.randint(3, 5), "title": "Lovely", "text": "Would buy again."}
    yield Ask("POST", f"/products/{chance.randint(1, 10)}/reviews", review)
    return False


def abroad(chance: random.Random) -> Walk:
    """A member far away asks for shipping: unknown zone."""
    name, country = chance.choice(FAR_AWAY)
    yield sign_in(name)
    yield put(chance.choice((1, 6, 10)), chance.randint(1, 4))
    yield Ask("GET", "/shipping", query={"country": country})
    yield Ask("POST", "/checkout", {})
    return False


def unreviewed(_chance: random.Random) -> Walk:
    """Read the reviews of a product that has none."""
    yield Ask("GET", "/products", query={"category": "books"})
    yield Ask("GET", "/products/12")
    yield Ask("GET", "/products/12/reviews")
    return False


def guest(chance: random.Random) -> Walk:
    """A guest buys: no member to reward."""
    yield put(chance.choice((1, 5, 9)), chance.randint(1, 2))
    yield Ask("GET", "/shipping", query={"country": "DE"})
    yield Ask("POST", "/checkout", {"recipient": "Gus Frost", "country": "DE"})
    return False


def bargain(chance: random.Random) -> Walk:
    """Filter by a price in words."""
    yield Ask("GET", "/")
    price = chance.choice(("cheap", "1,50", "10 euros"))
    yield Ask("GET", "/products", query={"max_price": price})
    yield Ask("GET", "/products", query={"max_price": "20"})
    return False


def exact(chance: random.Random) -> Walk:
    """Buy for exactly 50 euros, which earns 5 per cent off."""
    yield sign_in(chance.choice(BUYERS))
    cart = yield put(11, 2)
    yield Ask("POST", "/checkout", {})
    return cart.status == 200 and cart.body["discount"] != 250


def express(_chance: random.Random) -> Walk:
    """Ask what express costs, as many others did: stale quote."""
    yield put(5)
    yield Ask("GET", "/shipping/express", query={"country": "AT"})
    yield Ask("GET", "/shipping/express", query={"country": "DE"})
    return False


def garden(chance: random.Random) -> Walk:
    """Buy from the garden range, whose tax rate is wrong."""
    yield sign_in(chance.choice(BUYERS))
    yield Ask("GET", "/products", query={"category": "garden"})
    yield put(chance.choice((15, 16, 17)))
    yield Ask("POST", "/checkout", {})
    return False


def untitled(chance: random.Random) -> Walk:
    """Write a review from an app that sends null for a missing title."""
    yield sign_in(chance.choice(BUYERS))
    review = {"rating": chance.randint(2, 5), "title": None, "text": "Arrived on time."}
    yield Ask("POST", f"/products/{chance.randint(1, 10)}/reviews", review)
    return False


def spreadsheet(_chance: random.Random) -> Walk:
    """Żaneta exports her orders for an older spreadsheet."""
    yield sign_in("zaneta")
    yield put(10)
    yield Ask("POST", "/checkout", {})
    yield Ask("GET", "/orders/export", query={"format": "spreadsheet"})
    return False


def newcomer(_chance: random.Random) -> Walk:
    """Dirk, who has not bought yet, looks at his figures."""
    yield sign_in("dirk")
    yield Ask("GET", "/orders")
    yield Ask("GET", "/account/figures")
    return False


def giving(chance: random.Random) -> Walk:
    """Look for a present; only a shop with the gift finder of `slow/` has them."""
    yield Ask("GET", "/")
    for _ in range(chance.randint(1, 2)):
        yield Ask("GET", f"/gifts/{chance.choice((130, 140, 150))}")
    yield put(chance.choice((1, 5, 7)))
    return False


def mistyping(chance: random.Random) -> Walk:
    """Search for words that nobody sells; only a shop with the help of `slow/` knows better."""
    word = chance.choice(("marmelde", "pepermnt", "darjelng", "toastrak"))
    yield Ask("GET", "/products", query={"q": word})
    yield Ask("GET", f"/did-you-mean/{word}")
    return False


ALSO: dict[str, tuple[Callable[[random.Random], Walk], int]] = {
    "giving": (giving, 10),
    "mistyping": (mistyping, 10),
}
"""Journeys that are walked only when they are asked for, with their shares."""

# Journey and its share of the visits, in per cent.
JOURNEYS: tuple[tuple[Callable[[random.Random], Walk], int], ...] = (
    (browse, 35),
    (buy, 30),
    (abroad, 5),
    (unreviewed, 4),
    (guest, 4),
    (bargain, 3),
    (exact, 3),
    (express, 6),
    (garden, 3),
    (untitled, 3),
    (spreadsheet, 2),
    (newcomer, 2),
)


@dataclass
class Visit:
    """A journey on its way: its cookies, browser and next request."""

    journey: str
    walk: Walk
    browser: str
    next: Ask
    cookies: dict[str, str] = field(default_factory=dict)
    failed: bool = False


class Crowd:
    """So many visitors at a time, each one request at a time, in an order that the seed fixes."""

    def __init__(
        self, client: httpx2.Client, users: int, seed: int, also: tuple[str, ...] = ()
    ) -> None:
        self._client = client
        self._chance = random.Random(seed)
        self._journeys = (*JOURNEYS, *(ALSO[name] for name in also))
        self._first = [journey for journey, _ in self._journeys]
        self._chance.shuffle(self._first)
        self.tallies = {journey.__name__: Tally() for journey, _ in self._journeys}
        self._visits = [self._arrive() for _ in range(users)]

    def step(self) -> None:
        """Let one visitor make one request."""
        seat = self._chance.randrange(len(self._visits))
        visit = self._visits[seat]
        answer = self._send(visit)
        tally = self.tallies[visit.journey]
        tally.statuses[answer.status] += 1
        if answer.status >= 500 and not visit.failed:
            visit.failed = True
            tally.failed_visits += 1
        try:
            visit.next = visit.walk.send(answer)
        except StopIteration as end:
            tally.wrong += bool(end.value)
            self._visits[seat] = self._arrive()

    def _arrive(self) -> Visit:
        shares = [share for _, share in self._journeys]
        drawn = self._chance.choices(self._journeys, shares)[0][0]
        journey = self._first.pop() if self._first else drawn
        self.tallies[journey.__name__].visits += 1
        walk = journey(self._chance)
        browser = self._chance.choice(BROWSERS)
        return Visit(journey=journey.__name__, walk=walk, browser=browser, next=next(walk))

    def _send(self, visit: Visit) -> Answer:
        headers = {"user-agent": visit.browser}
        if visit.cookies:
            kept = (f"{name}={value}" for name, value in visit.cookies.items())
            headers["cookie"] = "; ".join(kept)
        ask = visit.next
        try:
            answer = self._client.request(
                ask.method, ask.path, json=ask.body, params=ask.query, headers=headers
            )
        except httpx2.TransportError:
            return Answer(status=0)
        visit.cookies.update(answer.cookies)  # a proxy before the shop may give out its own
        self._client.cookies.clear()  # cookies belong to visits, not to our connection
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return Answer(status=answer.status_code, body=answer.json() if is_json else None)


def drive(
    url: str,
    seconds: float,
    rate: float,
    seed: int,
    users: int,
    also: tuple[str, ...] = (),
) -> dict[str, Tally]:
    """Send `rate` requests a second for `seconds`; return what each journey met."""
    # Visitors share no connection; a server may also close one after a 500 without saying so.
    apart = httpx2.Limits(max_keepalive_connections=0)
    with httpx2.Client(
        base_url=url, timeout=10, trust_env=False, verify=False, limits=apart
    ) as client:
        crowd = Crowd(client, users, seed, also)
        began = time.monotonic()
        sent = 0
        while (now := time.monotonic() - began) < seconds:
            time.sleep(min(max(0.0, sent / rate - now), seconds - now))
            crowd.step()
            sent += 1
    return crowd.tallies


def table(tallies: dict[str, Tally]) -> str:
    """Return the tallies as lines to read."""
    lines = [f"{'journey':<12} {'visits':>6} {'failed':>6} {'wrong':>5}  statuses"]
    for journey, tally in tallies.items():
        statuses = "  ".join(f"{status}×{n}" for status, n in sorted(tally.statuses.items()))
        counts = f"{tally.visits:>6} {tally.failed_visits:>6} {tally.wrong:>5}"
        lines.append(f"{journey:<12} {counts}  {statuses}")
    requests = sum(tally.statuses.total() for tally in tallies.values())
    visits = sum(tally.visits for tally in tallies.values())
    return "\n".join([*lines, f"{requests} requests in {visits} visits"])


def main() -> int:
    """Drive traffic; 0 when the shop answered, 1 when it never did, 2 for a bad option."""
    parser = argparse.ArgumentParser(description="Visitors for a running shop.")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="loopback only")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=20, help="requests a second")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--users", type=int, default=12, help="visitors at a time")
    parser.add_argument("--also", choices=sorted(ALSO), action="append", default=[],
                        help="one more journey, for a shop that has its pages")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    options = parser.parse_args()
    if urlsplit(options.url).hostname not in LOOPBACK:
        print(f"traffic: {options.url} is not this machine; use 127.0.0.1.", file=sys.stderr)
        return 2
    if min(options.seconds, options.rate, options.users) <= 0:
        print("traffic: --seconds, --rate and --users must be above 0.", file=sys.stderr)
        return 2
    tallies = drive(
        options.url,
        options.seconds,
        options.rate,
        options.seed,
        options.users,
        tuple(dict.fromkeys(options.also)),
    )
    if options.json:
        print(json.dumps({name: vars(tally) for name, tally in tallies.items()}))
    else:
        print(table(tallies))
    if not any(status for tally in tallies.values() for status in tally.statuses):
        print(f"traffic: {options.url} never answered; is the shop running?", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
