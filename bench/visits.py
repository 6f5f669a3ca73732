"""Visits to a shop in this process: every journey of its traffic, and strangers who ask oddly.

`python visits.py TRAFFIC.py ROUNDS` in a shop's folder, with its interpreter; prints one JSON
object: `{"answers": [[who, method, path, status, body], ...]}`. Two shops that behave alike
print the same.
"""

import importlib.util
import json
import random
import sys

COOKIE = "shop_session"
ODD = (
    ("GET", "/products/999"),
    ("GET", "/products/12/reviews"),
    ("GET", "/products?page=99"),
    ("GET", "/products?page=x"),
    ("GET", "/products?max_price=x&q="),
    ("GET", "/products?max_price=0"),
    ("GET", "/products?max_price=nan"),
    ("GET", "/products?max_price="),
    ("GET", "/products?category=nothing"),
    ("GET", "/shipping"),
    ("GET", "/shipping/express"),
    ("GET", "/shipping?country=PT"),
    ("GET", "/shipping?country=12"),
    ("GET", "/shipping/express?country=US"),
    ("GET", "/cart"),
    ("GET", "/account"),
    ("GET", "/orders"),
    ("GET", "/orders/999"),
    ("GET", "/orders/export"),
    ("POST", "/cart/items", {}),
    ("POST", "/cart/items", {"product_id": 1}),
    ("POST", "/cart/items", {"product_id": 1, "quantity": "many"}),
    ("POST", "/cart/items", {"product_id": 1, "quantity": None}),
    ("POST", "/cart/items", {"product_id": 1, "quantity": 0}),
    ("POST", "/cart/items", {"product_id": 999, "quantity": 1}),
    ("POST", "/cart/items", [1]),
    ("DELETE", "/cart/items/1"),
    ("DELETE", "/cart/items/999"),
    ("POST", "/cart/voucher", {}),
    ("POST", "/cart/voucher", {"code": "nothing"}),
    ("POST", "/cart/voucher", {"code": " Welcome "}),
    ("POST", "/cart/voucher", {"code": None}),
    ("POST", "/cart/voucher", {"code": 5}),
    ("POST", "/cart/items", {"product_id": 1, "quantity": [1]}),
    ("GET", "/cart"),
    ("POST", "/cart/items", {"product_id": 7, "quantity": 1}),
    ("GET", "/cart"),
    ("POST", "/checkout", {"recipient": "Gus", "country": "xx1"}),
    ("POST", "/checkout", {"recipient": "Gus"}),
    ("POST", "/checkout", {"recipient": "Gus", "country": "DE", "donation": "some"}),
    ("POST", "/checkout", {"recipient": "Gus", "country": "DE", "donation": -1}),
    ("POST", "/checkout", {"recipient": "Gus", "country": 49}),
    ("POST", "/checkout", {"recipient": "Gus", "country": ["DE"]}),
    ("POST", "/checkout", {"recipient": 5, "country": "DE", "donation": [1]}),
    ("POST", "/checkout", {"recipient": "Gus", "country": "DE", "donation": None}),
    ("POST", "/checkout", {"recipient": None, "country": None}),
    ("POST", "/products/1/reviews", {"rating": 5}),
    ("POST", "/products/1/reviews", {"rating": "five"}),
    ("POST", "/products/1/reviews", {"rating": 4, "text": None}),
    ("POST", "/products/1/reviews", {}),
    ("POST", "/products/1/reviews", {"rating": [5]}),
    ("POST", "/products/999/reviews", {"rating": 1}),
    ("GET", "/products/1/reviews"),
    ("POST", "/sign-in", {}),
    ("POST", "/sign-in", {"email": "nobody@example.org", "password": "x"}),
    ("POST", "/sign-in", {"email": None, "password": None}),
    ("POST", "/sign-in", {"email": 5, "password": 5}),
    ("POST", "/sign-out", {}),
)  # fmt: skip


def load(path):
    """Import the shop's traffic program, which is no package."""
    spec = importlib.util.spec_from_file_location("traffic", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["traffic"] = module
    spec.loader.exec_module(module)
    return module


class Shop:
    """One shop in this process and the cookie of whoever visits it."""

    def __init__(self):
        from shop.app import create_app
        from starlette.testclient import TestClient

        self.browser = TestClient(create_app(), raise_server_exceptions=False)
        self.answers = []

    def ask(self, who, method, path, body=None, query=None):
        """Send one request and keep the answer."""
        answer = self.browser.request(method, path, json=body, params=query)
        told = answer.headers.get("content-type", "").startswith("application/json")
        held = answer.json() if told else answer.text
        self.answers.append([who, method, path, answer.status_code, held])
        return answer.status_code, held if told else None


def main(traffic_path, rounds):
    """Visit a fresh shop for every journey and every kind of stranger."""
    traffic = load(traffic_path)
    answers = []
    for seed in range(rounds):
        for journey, _share in traffic.JOURNEYS:
            shop = Shop()
            walk(shop, f"{journey.__name__} {seed}", journey(random.Random(seed)), traffic)
            answers += shop.answers
    for member in ("", "ada", "bruno", "dirk", "zaneta"):
        shop = Shop()
        if member:
            sign_in = {"email": f"{member}@example.org", "password": traffic.PASSWORD}
            shop.ask(member, "POST", "/sign-in", sign_in)
        for request in ODD:
            shop.ask(f"stranger {member}", *request)
        answers += shop.answers
    print(json.dumps({"answers": answers}))


def walk(shop, who, steps, traffic):
    """Take one journey to its end."""
    ask = next(steps)
    while True:
        status, body = shop.ask(who, ask.method, ask.path, ask.body, ask.query)
        try:
            ask = steps.send(traffic.Answer(status=status, body=body))
        except StopIteration:
            return


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
