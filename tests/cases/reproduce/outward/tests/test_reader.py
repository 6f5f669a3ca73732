from feeds.reader import read


def test_read():
    assert read("1,2") == [1, 2]
