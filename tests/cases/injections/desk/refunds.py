"""Money back. Amounts are in cents."""

MOST = 10000
NOTHING = 0


def refund(paid, asked, items, kept):
    """Return what is paid back: never more than was paid, nor than the most we pay."""
    worth = paid * (items - kept) // items
    return min(asked, worth, paid, MOST)


def fee(paid, items):
    """Return the fee of an item; nothing without items."""
    if items == 0:
        return NOTHING
    return paid // items
