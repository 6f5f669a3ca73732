"""Taking: records of a pull into segments, counted, and synced before anybody notes the place."""

from collections.abc import Callable

from selfdrive_dagster.adapters.intake import Intake
from selfdrive_dagster.adapters.segments import Tally
from selfdrive_dagster.model import Progress
from selfdrive_dagster.telemetry import Arrival, Records, Redactor


class Taker:
    """One pull's way in: `tally` counts what it took."""

    def __init__(
        self, intake: Intake, redactor: Redactor, service_name: str, shown: str, progress: Progress
    ) -> None:
        self._intake = intake
        self._redactor = redactor
        self._service_name = service_name
        self._shown = shown
        self.progress = progress
        self.tally = Tally()

    def take(self, signal: str, decode: Callable[[Arrival], Records]) -> None:
        """Decode and store one page; it is on disk when this returns."""
        arrival = Arrival.now(self._redactor, self._service_name)
        taken = self._intake.take(
            decode(arrival), signal=signal, content_type="application/json", arrival=arrival
        )
        for done in taken.synced:
            done.result()
        self.tally = Tally(*(a + b for a, b in zip(self.tally, taken.tally, strict=True)))
        self.progress(f"{self._shown}: {self.tally.received:,} events")
