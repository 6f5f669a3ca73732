"""How often each family's shape mends real code: counts that ship as data, `frequencies.toml`.

They were mined from consecutive releases of packages (`bench/mined.py`), which the file names, so
no weight was tuned on a benchmark. What `table` believes (the ladder of repair.md §6, the counts of
§2) holds as strongly as BELIEF fixes: the posterior mean of a Dirichlet distribution. So a shape
that was never counted keeps a share.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

FREQUENCIES = Path(__file__).with_name("frequencies.toml")

BELIEF = 231.0
"""How many mined fixes the belief weighs as much as: the fixes of repair.md §2 that it rests on."""


@cache
def counted() -> Mapping[str, int]:
    """Return the counts of mined fixes by family."""
    told = tomllib.loads(FREQUENCIES.read_text(encoding="utf-8"))
    return MappingProxyType(told["counts"])


def shares(ladder: Mapping[str, float], counts: Mapping[str, int]) -> dict[str, float]:
    """Return the weight of each family: what was counted, on top of the ladder's belief.

    The weights add up to as much as the ladder's did; counts of other names are left out.
    """
    whole = sum(ladder.values())
    total = sum(counts.get(name, 0) for name in ladder)
    return {
        name: whole * (counts.get(name, 0) + BELIEF * weight / whole) / (total + BELIEF)
        for name, weight in ladder.items()
    }
