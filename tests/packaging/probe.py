"""Runs inside an installed site, away from the source tree, and prints what it found there as JSON."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import django

django.setup()

from django.contrib.staticfiles import finders  # noqa: E402
from django.template.loader import get_template  # noqa: E402
from django.test import Client  # noqa: E402
from django.urls import NoReverseMatch, reverse  # noqa: E402
from django.utils import timezone  # noqa: E402
from mysite.orders import order_paid  # noqa: E402

import cms_pages  # noqa: E402
import refund_plugin  # noqa: E402
from refund_plugin import documents  # noqa: E402
from refund_plugin.orders.models import Purchase  # noqa: E402


def address(name: str) -> str:
    """Return the path of a view, or an empty text."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""


def missing(names: list[str], find) -> list[str]:
    """Return the names for which `find` finds nothing."""
    found = []
    for name in names:
        try:
            there = find(name) is not None
        except Exception:
            there = False
        if not there:
            found.append(name)
    return found


def saleor_operations() -> list[str] | None:
    """Return the names of what a Saleor can be asked, each made ready to send; None without the extra."""
    if find_spec("gql") is None or find_spec("httpx") is None:
        return None
    from refund_plugin.saleor import asynchronous, operations
    from refund_plugin.saleor.versions import NEWEST

    assert asynchronous.AsyncSaleorClient
    return [operations.operation(name, NEWEST).name for name in operations.names()]


wanted = json.loads(Path(sys.argv[1]).read_text())
now = timezone.now()
order_paid(SimpleNamespace(number="1042", email="ada@example.com", paid_at=now, payment_intent="pi_1"))
graphql = find_spec("graphql")
client = Client()
lookup = {"query": documents.operation("storefront/RefundQuote"), "variables": {"orderNumber": "1042", "email": "ada@example.com"}}
answer = client.post(address("refund_plugin:graphql") or "/nothing/", json.dumps(lookup), content_type="application/json")
print(
    json.dumps(
        {
            "packages": [refund_plugin.__file__, cms_pages.__file__],
            "graphql": graphql and graphql.origin,
            "strawberry": find_spec("strawberry") is not None,
            "missing_templates": missing(wanted["templates"], get_template),
            "missing_static": missing(wanted["static"], finders.find),
            "missing_documents": missing(wanted["documents"], documents.document),
            "saleor": saleor_operations(),
            "saleor_manifest": address("refund_plugin:saleor_manifest"),
            "purchases": Purchase.objects.filter(number="1042").count(),
            "pages": {name: client.get(address(f"refund_plugin:{name}")).status_code for name in ("ask", "purchases")},
            "health": sorted(client.get(address("refund_plugin:health")).json()),
            "quote": answer.json() if answer.status_code == 200 else None,
        }
    )
)
