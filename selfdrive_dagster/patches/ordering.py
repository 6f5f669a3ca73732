"""In which order candidates come: fair interleaving first, evidence ranking at the end.

Streams of candidates share the budget by stride scheduling (Waldspurger and Weihl, 1995):
each stream advances its own clock by cost / weight with every candidate, and the stream
whose clock stands earliest goes next. So the likeliest come first and none starves: a
stream of weight w gets its share of every prefix, however long its neighbours are.

Weights come from two places, and none was tuned on a benchmark: the ladder of repair.md §6
(cheap edits before dear ones) and the frequencies of mined fixes (`templates.frequencies`).
"""

import heapq
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Stream(msgspec.Struct, Generic[T], frozen=True):
    """Candidates of one family at one place; `weight` > 0 is its share of the budget."""

    weight: float
    items: Iterable[tuple[float, T]]
    """Pairs of cost (1 = an ordinary candidate) and candidate, best first, made lazily."""


def interleave(streams: Iterable[Stream[T]]) -> Iterator[tuple[float, T]]:
    """Yield the items of all streams with the time on their clock, the earliest first.

    Fairly by weight; ties go to the earlier stream. The n-th item of a stream comes at about
    n / weight, so 1 / time is what is believed of it, up to a factor that all share.

    Nothing is pulled from a stream before its turn, so work is done only for what is used.
    """
    sources = [(stream.weight, iter(stream.items)) for stream in streams]
    clocks = [(1.0 / weight, order) for order, (weight, _) in enumerate(sources)]
    heapq.heapify(clocks)
    while clocks:
        clock, order = heapq.heappop(clocks)
        weight, items = sources[order]
        for cost, item in islice(items, 1):
            yield clock, item
            heapq.heappush(clocks, (clock + cost / weight, order))


def round_robin(lists: Iterable[Iterable[T]]) -> Iterator[T]:
    """Yield the first of each, then the second of each: no node of a statement starves."""
    waiting = [iter(items) for items in lists]
    while waiting:
        still = []
        for items in waiting:
            for item in islice(items, 1):
                yield item
                still.append(items)
        waiting = still


# After validation, simpler kinds of change come first (repair.md §6): replace, then wrap,
# then guard, then delete.
KINDS = ("replace", "wrap", "guard", "delete")


def rank_key(kind: str, length: float, order: int) -> tuple[float, int, int]:
    """Return the sort key of a surviving candidate: the shortest first, then kind, then order.

    `kind` is one of KINDS (an unknown kind ranks last); `length` is in bits, see `lengths`.
    """
    place = KINDS.index(kind) if kind in KINDS else len(KINDS)
    return length, place, order
