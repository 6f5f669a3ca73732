class Token:
    def __init__(self, text):
        self.text = text


def tokens(line):
    return [Token(part) for part in line.split(",")]


def number(token):
    return int(token.text)


def read(line, skip=0):
    def convert(token):
        return number(token)

    return [convert(token) for token in tokens(line)[skip:]]
