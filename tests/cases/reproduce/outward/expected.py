"""ValueError in number (feeds/reader.py), as it happened in production."""

from feeds.reader import read


def test_read_survives_the_recorded_call():
    read("1,1,xxxx", skip=1)
