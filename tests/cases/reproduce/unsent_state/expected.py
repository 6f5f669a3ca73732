"""IndexError in Writer._marked (letters/writing.py), as it happened in production."""
# Seen to fail with PYTHONHASHSEED=0 and with 1, and TZ=UTC.
# Nobody sent `bullet`: IndexError at `self.bullet[0]` tells it.

from letters.writing import Writer


def test_item_survives_the_recorded_call():
    writer = Writer(width=40)
    writer.bullet = ""
    writer.item("butter")
