from starlette.testclient import TestClient

from kiosk.app import create_app

client = TestClient(create_app(), base_url="https://kiosk.example", raise_server_exceptions=False)
client.post("/login", json={"user": "bob"})
client.put("/basket/tea?source=app", json={"quantity": 0})
