"""The processes of a running loop: started in order, watched, and gone with their owner.

    Service   a program to keep running, and how to see that it serves
    Crew      starts, mends and stops services
    held      one loop per home
    end_all   ends what outlived an earlier loop

Each service runs behind a `guardian`, which ends it and all it started when its owner ends,
kill -9 included. Which programs a loop consists of does not belong here: that is `loop`.
"""

from selfdrive_dagster.adapters.processes.crew import Crew
from selfdrive_dagster.adapters.processes.holding import Holder, held
from selfdrive_dagster.adapters.processes.leftovers import end_all, leftovers, marked
from selfdrive_dagster.adapters.processes.running import Running, Service

__all__ = ["Crew", "Holder", "Running", "Service", "end_all", "held", "leftovers", "marked"]
