"""The express carrier's desk: what a parcel costs if it must be there tomorrow."""

BASE_CENTS = 1_290
HOME = "DE"
ABROAD_CENTS = 1_400
CENTS_PER_STARTED_KILOGRAM = 120


def express_tariff(country: str, grams: int) -> int:
    """Return the carrier's price in cents for a parcel."""
    abroad = 0 if country == HOME else ABROAD_CENTS
    kilograms = -(-grams // 1000)
    return BASE_CENTS + abroad + kilograms * CENTS_PER_STARTED_KILOGRAM


class ExpressDesk:
    """Answers what express costs."""

    def quote(self, country: str, grams: int) -> int:
        """Return the price in cents."""
        return express_tariff(country, grams)
