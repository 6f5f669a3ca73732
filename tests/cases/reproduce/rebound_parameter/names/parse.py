def initials(text):
    text = text.strip()
    for part in text.split(" "):
        yield part[0]


def monogram(text):
    return "".join(initials(text)).upper()
