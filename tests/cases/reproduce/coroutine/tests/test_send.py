import asyncio

from mailer.send import deliver


def test_deliver():
    assert asyncio.run(deliver(["ann"], "hi")) == ("ann", 0, "Hi")
