from dataclasses import dataclass

import till


@dataclass
class Member:
    is_paid: bool = False


def test_home():
    assert till.parcel_rate("DE", 900, 100, Member()) == 490


def test_near_and_heavy():
    assert till.parcel_rate("AT", 3200, 100, Member()) == 1190


def test_members_ship_for_nothing():
    assert till.parcel_rate("DE", 900, 9000, Member(True)) == 0
    assert till.parcel_rate("DE", 900, 9000, Member()) == 490


def test_letters():
    assert till.flat_rate("US") == 1990
