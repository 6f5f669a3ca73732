def test_needs_login(client):
    assert client.put("/basket/tea", json={"quantity": 3}).status_code == 401


def test_change(logged_in):
    response = logged_in.put("/basket/tea", json={"quantity": 4})
    assert response.status_code == 200
    assert response.json()["basket"] == {"tea": 4}
