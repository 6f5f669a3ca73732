"""ValueError in price (scales/weigh.py), as it happened in production."""
# Seen to fail with PYTHONHASHSEED=0 and with 1, and TZ=UTC.
# The product holds this in scales/rates.json: it is read from there.

import json
from pathlib import Path

from scales.weigh import bill


def test_bill_survives_the_recorded_call():
    bill(
        [["tea", 100], ["pots", 900]],
        json.loads(Path("scales/rates.json").read_bytes()),
    )
