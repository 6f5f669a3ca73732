"""IndexError in initials (names/parse.py), as it happened in production."""

from names.parse import monogram


def test_monogram_survives_the_recorded_call():
    monogram("  Xxx  Xxx ")
