def test_a_late_loan_costs(member_client):
    answer = member_client.post("/loans", json={"days": 7})
    assert answer.json == {"fine": 14}
