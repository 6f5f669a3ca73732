"""From a route as telemetry names it to the function that answers it."""

from pathlib import Path

import pytest

from selfdrive_dagster.model import Product
from selfdrive_dagster.patches.improve import handler_of
from selfdrive_dagster.patches.syntax import Tree

FILES = {
    "shop/__init__.py": "",
    "shop/pages.py": (
        "from starlette.routing import Route\n\n"
        "async def show(request): ...\n"
        "async def save(request): ...\n"
        "routes = (Route('/gifts/{euros:int}', show), Route('/gifts', save, methods=['POST']))\n"
    ),
    "shop/api.py": (
        "from fastapi import APIRouter\n\nrouter = APIRouter(prefix='/api')\n\n"
        "@router.get('/orders/{order_id}')\ndef one_order(order_id: int): ...\n\n"
        "@router.post('/orders/{order_id}')\ndef change_order(order_id: int): ...\n"
    ),
    "shop/flasky.py": "@app.route('/points/<int:zip_code>')\ndef points(zip_code): ...\n",
    "shop/urls.py": (
        "from django.urls import path\nfrom shop import views\n\n"
        "urlpatterns = [path('reports/<int:year>/', views.report)]\n"
    ),
    "shop/views.py": "def report(request, year): ...\n",
    "shop/twice.py": "@a.get('/twin')\ndef one(): ...\n\n@b.get('/twin')\ndef two(): ...\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return Tree(Product(name="shop", root=str(tmp_path), python="python", source=("shop",)))


@pytest.mark.parametrize(
    ("route", "function"),
    [
        ("GET /gifts/{euros:int}", "show"),
        ("POST /gifts", "save"),
        ("GET /gifts", None),
        ("GET /api/orders/{order_id}", "one_order"),
        ("POST /api/orders/{order_id}", "change_order"),
        ("GET /points/<int:zip_code>", "points"),
        ("GET reports/<int:year>/", "report"),
        ("GET /nowhere", None),
        ("GET /twin", None),
        ("/gifts/{euros:int}", "show"),
    ],
)
def test_a_route_leads_to_its_function(tree: Tree, route: str, function: str | None) -> None:
    found = handler_of(tree, route)
    assert (found.function if found else None) == function
