"""The nouns of the shop: frozen dataclasses. Money is in cents, weight in grams."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Product:
    """Something on the shelf."""

    id: int
    slug: str
    name: str
    category: str
    cents: int
    grams: int
    stock: int


@dataclass(frozen=True)
class Member:
    """A customer with an account; guests have none."""

    id: int
    name: str
    country: str
    tier: str
    favourite: str


@dataclass(frozen=True)
class Session:
    """One browser's visit. `id` is a digest of the cookie, safe to log."""

    id: str
    member_id: int | None


@dataclass(frozen=True)
class CartLine:
    """A product in the cart, and how many."""

    product: Product
    quantity: int

    @property
    def cents(self) -> int:
        """What the line costs."""
        return self.product.cents * self.quantity


@dataclass(frozen=True)
class Voucher:
    """A code that takes a percentage off, from a smallest subtotal on."""

    code: str
    percent: int
    from_cents: int


@dataclass(frozen=True)
class Review:
    """What a member thinks; `written` is an ISO date."""

    product_id: int
    member_id: int
    rating: int
    text: str
    written: str


@dataclass(frozen=True)
class Order:
    """A placed order; `placed` is an ISO date."""

    id: int
    recipient: str
    country: str
    total_cents: int
    placed: str
