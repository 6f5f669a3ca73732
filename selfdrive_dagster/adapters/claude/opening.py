"""Claude as the settings and the environment say: model, price, caps, purse, own secrets.

The one place where they come together, for the loop and for `selfdrive repair` alike.
"""

from collections.abc import Mapping

from selfdrive_dagster.adapters.claude.client import Client
from selfdrive_dagster.config.prices import price_of, shipped
from selfdrive_dagster.config.settings import Patches
from selfdrive_dagster.patches.asking.clean import own_secrets
from selfdrive_dagster.patches.asking.conversing import Terms
from selfdrive_dagster.patches.asking.money import Caps, Purse, micros
from selfdrive_dagster.patches.asking.proposer import Claude


def terms_of(settings: Patches) -> Terms:
    """Return on what terms a model is asked."""
    table = shipped()
    model = settings.model or table.default_model
    price = price_of(model, settings.prices, table)
    return Terms(model=model, price=price, max_tokens=settings.max_output_tokens)


def caps_of(settings: Patches) -> Caps:
    """Return the caps that the owner set. A day has one always, a month only if it is set."""
    month = settings.budget_usd_per_month
    return Caps(
        call=micros(settings.budget_usd_per_call),
        change=micros(settings.budget_usd_per_change),
        issue=micros(settings.budget_usd_per_issue),
        day=micros(settings.budget_usd_per_day),
        month=micros(month) if month else None,
    )


def open_claude(settings: Patches, purse: Purse, environ: Mapping[str, str]) -> Claude:
    """Return the proposer over the real client."""
    return Claude(Client(environ), purse, terms_of(settings), own_secrets=own_secrets(environ))
