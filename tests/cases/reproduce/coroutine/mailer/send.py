import asyncio


async def deliver(recipients, subject):
    await asyncio.sleep(0)
    first, *rest = recipients
    return first, len(rest), subject.title()
