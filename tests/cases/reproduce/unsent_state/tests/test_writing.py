from letters.writing import Writer


def test_an_item_has_a_bullet():
    writer = Writer(width=40)
    writer.item("bread")
    assert writer.written == "* bread"


def test_items_stand_on_lines_of_their_own():
    writer = Writer()
    writer.item("bread").item("butter")
    assert writer.written.splitlines() == ["* bread", "* butter"]
