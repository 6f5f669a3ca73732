"""What the ledger says."""

import json
from decimal import Decimal

import pytest

from bank.ledger import Ledger

UNUSED = Decimal(3)


@pytest.fixture
def ledger(connection):
    # opened once for each test
    return Ledger(connection)


def test_rows_are_json(connection):
    assert json.dumps(connection.rows())


def test_balance_of_an_account(ledger):
    """Ann has money."""
    account = "ann"
    newest, total = ledger.balance(account)
    assert newest == 2
    assert total == 480


def test_two_accounts(ledger):
    for account in ("ann", "bob"):
        assert ledger.balance(account)[0]
