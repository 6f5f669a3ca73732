"""What the receiver tells of itself, as OpenMetrics text (Prometheus reads it).

Events are counted over all restarts, in the segments; answers and bytes since this start.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from selfdrive_dagster.adapters.segments import Tally

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def exposition(
    total: Tally,
    answers: Mapping[int, int],
    held_bytes: int,
    waiting_bytes: int,
    over_quota: Counter[str],
) -> str:
    """Return all metrics; received is the sum of the three results."""
    return "\n".join(
        [
            *_family("selfdrive_receiver_events", "counter", "Events answered for, by result."),
            *(
                f'selfdrive_receiver_events_total{{result="{name}"}} {count}'
                for name, count in total._asdict().items()
            ),
            *_family("selfdrive_receiver_answers", "counter", "Answers since start, by status."),
            *(
                f'selfdrive_receiver_answers_total{{status="{status}"}} {count}'
                for status, count in sorted(answers.items())
            ),
            *_family(
                "selfdrive_receiver_over_quota", "counter", "Deliveries sent back, by source."
            ),
            *(
                f'selfdrive_receiver_over_quota_total{{service_name="{_escaped(name)}"}} {count}'
                for name, count in sorted(over_quota.items())
            ),
            *_family("selfdrive_receiver_held_bytes", "gauge", "Bytes of bodies being read."),
            f"selfdrive_receiver_held_bytes {held_bytes}",
            *_family("selfdrive_receiver_waiting_bytes", "gauge", "Bytes that wait for the disk."),
            f"selfdrive_receiver_waiting_bytes {waiting_bytes}",
            "# EOF\n",
        ]
    )


def _family(name: str, kind: str, help_: str) -> Iterable[str]:
    return (f"# TYPE {name} {kind}", f"# HELP {name} {help_}")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
