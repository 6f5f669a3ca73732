"""ValueError in first_tag (notes/tags.py), as it happened in production."""

from notes.tags import first_tag


def test_first_tag_survives_the_recorded_call():
    first_tag(
        '"""\n\nimport os; os.system("true")\n\'\'\'\\"""\\N{BULLET}\t{boom}\u202e\u2066 \x00\x1b[31m \u2028 \ufeff café #!xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',
        "\\|\r\n",
    )
