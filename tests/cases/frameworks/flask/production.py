from library import create_app

client = create_app().test_client()
if PATH == "/loans":
    client.post("/login", json={"user": "eve"})
    client.post("/loans", json={"days": 0})
else:
    client.get(PATH)
