"""ValueError in deliver (mailer/send.py), as it happened in production."""

import asyncio

from mailer.send import deliver


def test_deliver_survives_the_recorded_call():
    asyncio.run(deliver([], "xxxxxx xx xxx xxxx"))
