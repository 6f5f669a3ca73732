"""A process that spends: asks for money again and again, and settles some of it.

Run as a program: database URL, number of issues, micro-dollars a call, the day's cap, and how it
ends: `settles`, `forgets` (never settles) or `dies` (is killed right after setting money aside).
Prints how often money was set aside.
"""

import os
import signal
import sys

from selfdrive_dagster.adapters.postgres import connect
from selfdrive_dagster.adapters.spending import Spending
from selfdrive_dagster.model import Ask, Result
from selfdrive_dagster.patches.asking.money import Caps, Denied


def main(url: str, issues: int, micros: int, cap: int, end: str) -> None:
    engine = connect(url)
    spending, given = Spending(engine), 0
    for number in range(issues):
        name = f"{os.getpid()}_{number}"
        purse = spending.purse(f"chg_{name}", f"iss_{name}", Caps(call=micros, day=cap))
        reserved = purse.reserve(micros, "claude-made-1")
        if isinstance(reserved, Denied):
            continue
        given += 1
        if end == "dies":
            print(given, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        if end == "settles":
            ask = Ask(
                generator="claude",
                purpose="draft",
                model="claude-made-1",
                result=Result.ANSWERED,
                spent_micros=micros * (number % 3) // 2,
            )
            purse.settle(reserved, ask)
    print(given, flush=True)
    engine.dispose()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]), end=sys.argv[5])
