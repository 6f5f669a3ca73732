from starlette.testclient import TestClient

from till.main import app

TestClient(app, raise_server_exceptions=False).get("/change/0?paid=7")
