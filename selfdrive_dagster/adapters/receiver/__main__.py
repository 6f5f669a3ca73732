"""The receiver as a process: `python -m selfdrive_dagster.adapters.receiver '<JSON>'`.

Prints `ready <port>` on stdout when connections are taken. The settings hold no secret, so the
process list shows none: keys for remote senders and the DSN go through stdin as "-".
"""

import sys

import msgspec

from selfdrive_dagster.adapters.receiver import ReceiverSettings, serve
from selfdrive_dagster.errors import SelfdriveError


def main(argument: str) -> int:
    """Serve until told to stop; return the exit code."""
    text = sys.stdin.buffer.read() if argument == "-" else argument.encode()
    try:
        settings = msgspec.json.decode(text, type=ReceiverSettings)
        serve(settings, on_ready=lambda port: print(f"ready {port}", flush=True))
    except SelfdriveError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
