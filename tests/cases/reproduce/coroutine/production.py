import asyncio

from mailer.send import deliver

asyncio.run(deliver([], "offers of the week"))
