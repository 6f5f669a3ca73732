"""ValueError in Ledger.balance (bank/ledger.py), as it happened in production."""
# Seen to fail with PYTHONHASHSEED=0 and with 1, and TZ=UTC.

import pytest

from bank.ledger import Ledger


@pytest.fixture
def ledger(connection):
    # opened once for each test
    return Ledger(connection)


def test_balance_survives_the_recorded_call(ledger):
    ledger.balance("carol", currency="USD")
