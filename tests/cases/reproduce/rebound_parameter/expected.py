"""IndexError in initials (names/parse.py), as it happened in production."""
# Seen to fail with PYTHONHASHSEED=0 and with 1, and TZ=UTC.

from names.parse import monogram


def test_monogram_survives_the_recorded_call():
    monogram("  Xxx  Xxx ")
