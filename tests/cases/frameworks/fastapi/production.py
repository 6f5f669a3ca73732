from fastapi.testclient import TestClient

from library.main import app

client = TestClient(app, raise_server_exceptions=False)
if PATH == "/loans":
    client.post("/login")
    client.post("/loans", json={"days": 0})
else:
    client.get(PATH)
