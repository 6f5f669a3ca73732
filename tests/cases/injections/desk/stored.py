"""Where attachments lie."""

SUFFIXES = ("png", "pdf", "txt")
FOLDER = "attachments"


def place(name):
    """Return where an attachment lies, None if we keep no such thing."""
    stem, suffix = name.rsplit(".", 1)
    if suffix not in SUFFIXES or "/" in stem or stem.startswith("."):
        return None
    return f"{FOLDER}/{stem}.{suffix}"
