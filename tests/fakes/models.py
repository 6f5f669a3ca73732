"""Models and purses in memory, and the real client against the stand-in."""

from collections.abc import Iterable, Iterator

from selfdrive_dagster.adapters.claude import KEY, Client
from selfdrive_dagster.adapters.claude.standin import Standin
from selfdrive_dagster.config.prices import Price
from selfdrive_dagster.model import Ask
from selfdrive_dagster.patches.asking.conversing import Terms
from selfdrive_dagster.patches.asking.edits import SCHEMA
from selfdrive_dagster.patches.asking.money import Caps, Denied, Reserved, exceeded
from selfdrive_dagster.patches.asking.questions import Answer, Question

PRICE = Price(input=2, output=10, cache_write=2.5, cache_read=0.2)
TERMS = Terms(model="claude-made-1", price=PRICE, max_tokens=4_000)
QUESTION = Question(
    model=TERMS.model,
    system=("rules",),
    shown=("code", "facts"),
    schema=SCHEMA,
    max_tokens=100,
    caches=True,
)


def client_of(standin: Standin, seconds: float = 20.0, silence_seconds: float = 20.0) -> Client:
    """Return the real client, pointed at a stand-in."""
    environ = {KEY: "sk-ant-rehearsal", "ANTHROPIC_BASE_URL": standin.url}
    return Client(environ, seconds=seconds, silence_seconds=silence_seconds)


class Scripted:
    """A model that gives answers in turn, the last one for ever; `asked` are its questions."""

    def __init__(self, answers: Iterable[Answer]) -> None:
        self._answers: Iterator[Answer] = iter(answers)
        self._last: Answer | None = None
        self.asked: list[Question] = []

    def ask(self, question: Question) -> Answer:
        self.asked.append(question)
        self._last = next(self._answers, self._last)
        assert self._last is not None
        return self._last


class OpenPurse:
    """A purse in memory with one cap for all; `settled` are the asks, `held` what is reserved."""

    def __init__(self, most: int | None = None) -> None:
        self._caps = Caps(day=most)
        self.held: dict[str, int] = {}
        self.settled: list[Ask] = []

    @property
    def spent(self) -> int:
        return sum(self.held.values()) + sum(ask.spent_micros for ask in self.settled)

    def reserve(self, micros: int, model: str) -> Reserved | Denied:
        if why := exceeded(micros, Caps(day=self.spent), self._caps):
            return Denied(why)
        name = str(len(self.held) + len(self.settled))
        self.held[name] = micros
        return Reserved(name)

    def settle(self, reserved: Reserved, ask: Ask) -> None:
        del self.held[reserved.id]
        self.settled.append(ask)
