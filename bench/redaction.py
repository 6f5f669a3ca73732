"""How much of each class of secret goes, and how much goes that should stay.

`python -m bench.redaction [--draws 50]`: values are drawn, seeded, from the public forms in
`tests/cases/telemetry/redaction_forms.json`, and put into plain sentences that name no secret, so
that only the form can give it away. Two halves: the detectors may be improved by looking at `dev`;
`held out` is for counting only. A secret counts as found if none of its characters stay in a run
of eight. Below, the corpus of real contexts that the tests hold, where names stand beside values.
"""

import argparse
import json
import random
import re
import string
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from selfdrive_dagster.telemetry.redact import VERSION, is_luhn, redact_text

CASES = Path(__file__).parents[1] / "tests" / "cases" / "telemetry"
SENTENCES = ("{}", "rejected {} after 3 tries", 'ValueError: got "{}"', "a={}; next", "[{}]")
LEFT = 8

ALPHABETS = {
    "upper32": string.ascii_uppercase + "234567",
    "upper": string.ascii_uppercase + string.digits,
    "lower": string.ascii_lowercase,
    "alpha": string.ascii_letters,
    "alnum": string.ascii_letters + string.digits,
    "base64": string.ascii_letters + string.digits + "+/",
    "hex": "0123456789abcdef",
    "digit": string.digits,
}


def main() -> None:
    """Print recall and false positives per class, dev before held out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=50)
    told = parser.parse_args()
    forms = json.loads((CASES / "redaction_forms.json").read_text())
    print(f"{VERSION}, {told.draws} draws in {len(SENTENCES)} sentences each")
    for half in ("dev", "held out"):
        for kind, judge in (("secret", found), ("harmless", changed)):
            rates = {
                case["class"]: rate(case["form"], judge, told.draws)
                for case in forms[kind]
                if case["half"] == half
            }
            name = "found" if kind == "secret" else "wrongly changed"
            print(f"\n{half}, {kind}: {sum(rates.values()) / len(rates):.1%} {name} over classes")
            for case, share in rates.items():
                print(f"  {case:22} {share:7.1%}")
    print("\ncorpus of contexts (tests hold it)")
    for name, (hits, total) in corpus().items():
        print(f"  {name:22} {hits}/{total}")


def rate(form: str, judge: Callable[[str, str], bool], draws: int) -> float:
    """Return the share of drawn texts that a judge says yes to."""
    draw = random.Random(form)
    hits = 0
    for _ in range(draws):
        marked = fill(form, draw)
        value = marked.replace("<<", "").replace(">>", "")
        secret = marked.partition("<<")[2].partition(">>")[0] or value
        hits += sum(judge(secret, redact_text(words.format(value))) for words in SENTENCES)
    return hits / draws / len(SENTENCES)


def found(value: str, shown: str) -> bool:
    """Say whether no run of LEFT characters of a secret is left (all of a shorter one)."""
    size = min(LEFT, len(value))
    return not any(value[at : at + size] in shown for at in range(len(value) - size + 1))


def changed(value: str, shown: str) -> bool:
    """Say whether a harmless text is no longer whole."""
    return value not in shown


def fill(form: str, draw: random.Random) -> str:
    """Return a value of a form: `{alnum:20}` is twenty letters and digits, `<<…>>` the secret."""
    return re.sub(r"\{(\w+)(?::(\d+))?\}", lambda part: _draw(part[1], part[2], draw), form)


def _draw(kind: str, size: str | None, draw: random.Random) -> str:
    if kind in ("octet", "day", "minute"):
        return f"{draw.randrange(*{'octet': (1, 255), 'day': (10, 28), 'minute': (10, 60)}[kind])}"
    if kind.startswith("luhn"):
        digits = "4" + "".join(draw.choices(string.digits, k=int(size or 16) - 2))
        whole = next(digits + end for end in string.digits if is_luhn(digits + end))
        return " ".join(re.findall("....", whole)) if kind == "luhnspaced" else whole
    if kind == "iban":
        account = "".join(draw.choices(string.digits, k=18))
        return f"DE{98 - int(f'{account}131400') % 97:02}{account}"
    return "".join(draw.choices(ALPHABETS[kind], k=int(size or 1)))


def corpus() -> dict[str, tuple[int, int]]:
    """Return (gone, all) for each class of the tests' corpus; "harmless" is what stayed."""
    counts: dict[str, list[bool]] = defaultdict(list)
    for case in json.loads((CASES / "redaction_corpus.json").read_text()):
        shown = redact_text(case["value"]) if isinstance(case.get("value"), str) else None
        secret = case.get("secret")
        if shown is not None and isinstance(secret, str) and secret:
            counts[case["class"]].append(secret not in shown)
    return {name: (sum(hits), len(hits)) for name, hits in sorted(counts.items())}


if __name__ == "__main__":
    main()
