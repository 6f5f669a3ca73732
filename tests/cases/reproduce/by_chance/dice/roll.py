import time


def roll(sides, started):
    left = time.time() - started
    if left < 60:
        return 100 // int(left // 60)
    return sides
