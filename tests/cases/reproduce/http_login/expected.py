"""ZeroDivisionError in change (kiosk/app.py), as it happened in production."""
# Seen to fail with PYTHONHASHSEED=0 and with 1, and TZ=UTC.


def test_put_basket_tea_survives_the_recorded_request(logged_in):
    response = logged_in.put("/basket/tea?source=app", json={"quantity": 0})

    assert response.status_code < 500
