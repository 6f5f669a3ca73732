"""ValueError in first_tag (notes/tags.py), as it happened in production."""
# Seen to fail with PYTHONHASHSEED=0 and with 1, and TZ=UTC.

from notes.tags import first_tag


def test_first_tag_survives_the_recorded_call():
    first_tag(
        '"""\n\nxxxxxx xx; xx.xxxxxx("xxxx")\n\'\'\'\\"""\\X{XXXXXX}\t{xxxx}\u202e\u2066 \x00\x1b[11x \u2028 \ufeff xxxx #!xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',
        "\\|\r\n",
    )
