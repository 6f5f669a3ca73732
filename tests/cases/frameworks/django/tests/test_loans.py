import pytest


@pytest.mark.django_db
def test_a_late_loan_costs(client, django_user_model):
    client.force_login(django_user_model.objects.create_user("ann"))
    answer = client.post("/loans", {"days": 7}, content_type="application/json")
    assert answer.json() == {"fine": 14}
