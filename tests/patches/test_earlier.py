"""Earlier attempts: the same change is the same wherever it stands and however it is laid out."""

import pytest

from selfdrive_dagster.patches.earlier import essence_of

PATCH = """--- a/shop/rates.py
+++ b/shop/rates.py
@@ -3,4 +3,5 @@
 def cost(zone):
-    return RATES[zone]
+    return RATES.get(zone, 9)
"""


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("@@ -3,4 +3,5 @@", "@@ -13,4 +13,5 @@"),
        (" def cost(zone):", " def cost(zone, day):"),
        ("+    return", "+        return"),
        ("+    return", "+    # as its sibling does\n+    return"),
    ],
    ids=["moved", "other context", "indented", "commented"],
)
def test_the_same_change_in_another_place_is_the_same(was: str, becomes: str) -> None:
    assert essence_of(PATCH.replace(was, becomes)) == essence_of(PATCH)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("zone, 9", "zone, 8"),
        ("shop/rates.py", "shop/tolls.py"),
        ("-    return RATES[zone]\n", ""),
        ("+    return RATES.get(zone, 9)", "+    return RATES.get(zone, 9)\n+    pass"),
    ],
    ids=["other value", "other file", "nothing taken out", "more brought in"],
)
def test_another_change_is_another(was: str, becomes: str) -> None:
    assert essence_of(PATCH.replace(was, becomes)) != essence_of(PATCH)
