"""Discounts: tiers that come by themselves, vouchers that are typed. The better one counts."""

from shop.database import Database
from shop.errors import NotFound
from shop.models import Session, Voucher

# From this subtotal in cents on, so many percent off; dearest first.
TIERS = ((20_000, 15), (10_000, 10), (5_000, 5))


def tier_percent(subtotal_cents: int) -> int:
    """Return the percentage that a subtotal earns by itself."""
    for from_cents, percent in TIERS:
        if subtotal_cents >= from_cents:
            return percent
    return 0


def voucher_percent(subtotal_cents: int, voucher: Voucher | None) -> int:
    """Return the percentage of a voucher; 0 without one or below its smallest subtotal."""
    if voucher is None or subtotal_cents < voucher.from_cents:
        return 0
    return voucher.percent


def discount_cents(subtotal_cents: int, voucher: Voucher | None) -> int:
    """Return what comes off, rounded down to whole cents."""
    percent = max(tier_percent(subtotal_cents), voucher_percent(subtotal_cents, voucher))
    return subtotal_cents * percent // 100


def find_voucher(database: Database, code: str) -> Voucher:
    """Return the voucher of a code, in any case. Raises NotFound."""
    row = database.row("SELECT * FROM vouchers WHERE code = ?", code.strip().upper())
    if row is None:
        raise NotFound("voucher", f"there is no voucher {code!r}")
    return Voucher(code=row["code"], percent=row["percent"], from_cents=row["from_cents"])


def keep_voucher(database: Database, session: Session, voucher: Voucher) -> None:
    """Remember a voucher for the session's next order."""
    database.execute("UPDATE sessions SET voucher = ? WHERE id = ?", voucher.code, session.id)


def kept_voucher(database: Database, session: Session) -> Voucher | None:
    """Return the voucher that the session typed, None if it did not."""
    row = database.row("SELECT voucher FROM sessions WHERE id = ?", session.id)
    return None if row is None or row["voucher"] is None else find_voucher(database, row["voucher"])
