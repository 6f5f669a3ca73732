import accounts
import cards
import finding
import imports
import passes
import pictures
import refunds
import stored


def test_roles():
    assert accounts.may("ann", "refund")
    assert accounts.may("bob", "write")
    assert not accounts.may("bob", "refund")
    assert accounts.greeting("zoe") == "Dear guest"


def test_passes():
    good = "ann.200." + passes.seal("ann.200")
    assert passes.holder(good, 100) == "ann"
    assert passes.holder(good, 300) is None
    assert passes.holder("ann.200.0", 100) is None


def test_pictures():
    assert pictures.host_of("https://cdn.desk.example/a.png") == "cdn.desk.example"
    assert pictures.host_of("https://elsewhere.example/a.png") is None


def test_imports():
    assert imports.fields('{"title": "Help", "id": 7}') == {"title": "Help"}
    assert imports.title("nonsense") == ""


def test_cards():
    assert cards.masked({"number": "4000 0000 0000 1234"}) == "************1234"
    assert cards.label({}) == ""


def test_refunds():
    assert refunds.refund(3000, 1000, 3, 0) == 1000
    assert refunds.refund(3000, 9000, 3, 1) == 2000
    assert refunds.fee(100, 0) == 0


def test_stored():
    assert stored.place("bill.pdf") == "attachments/bill.pdf"
    assert stored.place("run.sh") is None


def test_finding():
    assert finding.condition("who", "ann") == ("customer = ?", ("ann",))
    assert finding.order("age") == "id DESC"
