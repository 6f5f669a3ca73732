def pick(names):
    return 10 // (hash(names[0]) % 2)
