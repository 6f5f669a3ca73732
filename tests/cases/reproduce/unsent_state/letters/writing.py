"""Letters as plain text."""


class Writer:
    def __init__(self, width=72):
        self.width = width
        self.bullet = "* "
        self.written = ""

    def item(self, text):
        if self.written and self.written[-1] != "\n":
            self.written += "\n"
        self.written += self._marked(text.strip())
        return self

    def _marked(self, text):
        if text and text[0] == self.bullet[0]:
            text = text[1:].lstrip()
        return self.bullet + text
