"""How cards of customers are shown."""

SHOWN = 4
HIDDEN = "*"


def masked(card):
    """Return a card's number with all but its last digits hidden."""
    number = card["number"].replace(" ", "")
    return HIDDEN * (len(number) - SHOWN) + number[-SHOWN:]


def label(card):
    """Return the name on a card, nothing without one."""
    return card.get("name") or ""
