def first_tag(text, separator):
    head, tail = text.split(separator)
    return head, tail
