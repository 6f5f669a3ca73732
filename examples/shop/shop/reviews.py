"""Reviews, and what they say together."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any

from shop.database import Database
from shop.models import Member, Review

COLUMNS = "product_id, member_id, rating, text, written"


class ReviewStatistics:
    """The figures above a product's reviews."""

    def __init__(self, reviews: Sequence[Review]) -> None:
        self._reviews = tuple(reviews)

    def count(self) -> int:
        """Return how many reviews there are."""
        return len(self._reviews)

    def average(self) -> float | None:
        """Return the mean rating to one decimal; None without reviews."""
        if not self._reviews:
            return None
        return round(sum(review.rating for review in self._reviews) / len(self._reviews), 1)

    def stars(self) -> dict[int, int]:
        """Return how many reviews gave each rating from 5 down to 1."""
        counted = Counter(review.rating for review in self._reviews)
        return {rating: counted[rating] for rating in range(5, 0, -1)}


def product_reviews(database: Database, product_id: int) -> list[Review]:
    """Return a product's reviews, newest first."""
    rows = database.rows(
        f"SELECT {COLUMNS} FROM reviews WHERE product_id = ? ORDER BY written DESC, id DESC",
        product_id,
    )
    return [Review(**row) for row in map(dict, rows)]


def summarise(database: Database, product_id: int) -> dict[str, Any]:
    """Return the figures of a product as the page shows them."""
    statistics = ReviewStatistics(product_reviews(database, product_id))
    return {
        "count": statistics.count(),
        "average": statistics.average(),
        "stars": statistics.stars(),
    }


def write_review(
    database: Database, member: Member, product_id: int, rating: int, text: str
) -> Review:
    """Keep a member's review of a product."""
    review = Review(
        product_id=product_id,
        member_id=member.id,
        rating=rating,
        text=text,
        written=date.today().isoformat(),
    )
    database.execute(
        f"INSERT INTO reviews ({COLUMNS}) VALUES (?, ?, ?, ?, ?)",
        review.product_id,
        review.member_id,
        review.rating,
        review.text,
        review.written,
    )
    return review
