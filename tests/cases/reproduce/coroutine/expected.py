"""ValueError in deliver (mailer/send.py), as it happened in production."""
# Seen to fail with PYTHONHASHSEED=0 and with 1, and TZ=UTC.

import asyncio

from mailer.send import deliver


def test_deliver_survives_the_recorded_call():
    asyncio.run(deliver([], "xxxxxx xx xxx xxxx"))
