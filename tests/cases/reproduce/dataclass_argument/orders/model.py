from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum


class Tier(Enum):
    BASIC = 1
    GOLD = "g"


@dataclass
class Line:
    title: str
    price: Decimal
    quantity: int = 1


@dataclass
class Order:
    placed: date
    tier: Tier
    lines: list[Line] = field(default_factory=list)
    coupon: str | None = None
