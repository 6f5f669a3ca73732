"""The code server: Dagster's own, whose runs begin in a process that has imported what they need.

`python -m selfdrive_dagster.orchestration.code_server --socket S --location-name L
--python-file F --working-directory W`

Dagster starts each run by `spawn`, and a batch then spends more of its time on imports than on
its tables. Here runs are forked from a server that did the imports once and started no thread.
Its other options have no use here. Does not belong here: what runs do.
"""

import argparse
import logging
import multiprocessing
import sys
import threading
from multiprocessing import forkserver
from typing import Any

from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.utils import FuturesAwareThreadPoolExecutor
from dagster._grpc.server import DagsterApiServer, DagsterGrpcServer
from dagster._utils.interrupts import setup_interrupt_handlers
from dagster._utils.log import configure_loggers

PRELOADED = (
    "dagster._grpc.impl",
    "dagster_postgres",
    "duckdb",
    "selfdrive_dagster.orchestration.build",
)
"""What runs import. Nothing here may start a thread, which would be missing after a fork: so not
polars, whose allocator has its own.
"""


class ForkingServer(DagsterApiServer):
    """Dagster's servicer, with another way to start the process of a run."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(PRELOADED))
        forkserver.ensure_running()
        self._mp_ctx: Any = context


def main() -> int:
    """Serve until told to end."""
    parser = argparse.ArgumentParser(prog="code_server", description="Dagster's code server.")
    for name in ("--socket", "--location-name", "--python-file", "--working-directory"):
        parser.add_argument(name, required=True)
    told = parser.parse_args()
    setup_interrupt_handlers()
    configure_loggers(formatter="colored", log_level="WARNING")
    logger = logging.getLogger("dagster.code_server")
    over = threading.Event()
    threads = FuturesAwareThreadPoolExecutor()
    origin = LoadableTargetOrigin(
        executable_path=sys.executable,
        working_directory=told.working_directory,
        python_file=told.python_file,
    )
    server = DagsterGrpcServer(
        server_termination_event=over,
        dagster_api_servicer=ForkingServer(
            server_termination_event=over,
            logger=logger,
            server_threadpool_executor=threads,
            loadable_target_origin=origin,
            location_name=told.location_name,
            entry_point=[sys.executable, "-m", "dagster"],
        ),
        socket=told.socket,
        logger=logger,
        threadpool_executor=threads,
    )
    server.serve()  # type: ignore[no-untyped-call]
    return 0


if __name__ == "__main__":
    sys.exit(main())
