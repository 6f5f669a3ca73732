from notes.tags import first_tag

TEXT = (
    '"""\n\nimport os; os.system("true")\n\'\'\'\\"""\\N{BULLET}\t{boom}'
    "\u202e\u2066 \x00\x1b[31m \u2028 \ufeff caf\u00e9 #!"
)
first_tag(TEXT + "x" * 100, "\\|\r\n")
