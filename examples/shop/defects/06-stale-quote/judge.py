"""An old answer is asked for again; a fresh one is not."""

import time

from shop.carrier import ExpressDesk


def test_an_old_answer_is_renewed() -> None:
    prices = iter([2000, 2100])
    desk = ExpressDesk(lambda country, grams: next(prices), keep_seconds=0.05)
    assert desk.quote("AT", 900) == 2000
    time.sleep(0.06)
    assert desk.quote("AT", 900) == 2100
    assert desk.quote("AT", 900) == 2100
