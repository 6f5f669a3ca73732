"""What parcels cost."""

ZONES = {"DE": "home", "AT": "near"}
RATES = {"home": 490, "near": 990, "world": 1990}
FREE = 5000


def flat_rate(country):
    """Return the cents that a letter costs."""
    return RATES[ZONES.get(country, "world")]


def parcel_rate(country, grams, cents, member):
    """Return the cents that a parcel costs; dear carts of members ship for nothing."""
    zone = ZONES[country]
    if cents >= FREE and member.is_paid:
        return 0
    return RATES[zone] + 100 * max(0, grams // 1000 - 1)


def may_refund(member, order):
    """Say whether a member may be paid back for an order."""
    return member.is_paid and order.member == member
