"""How long Saleor's staff wait for the answer to "refund": over HTTP, to a process of its own, on PostgreSQL and Redis."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests

from refund_plugin import clock
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import ensure_accounts
from refund_plugin.orders.data import LineData, PaymentData, PurchaseData
from refund_plugin.orders.services import record_purchase
from refund_plugin.refunds.models import Refund
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.secrets import encrypt
from refund_plugin.stores.models import Store
from tests.bench.figures import Row, at_most, percentile, time_each
from tests.faults.world import Scene, World
from tests.saleor.standin.signing import SigningKey
from tests.services import wait_until

# nobody listens there: the door must not need to ask Saleor anything
API = "http://127.0.0.1:9/graphql/"
STORE, APP = "saleor-bench", "QXBwOjE="
PRICE_MINOR = 3000
WARM_UP, START_SECONDS = 20, 60.0


def answered(world: World, count: int) -> list[Row]:
    """Ask for `count` refunds of as many orders, each as Saleor asks the owner of a transaction."""
    key = SigningKey()
    with world.row(plugin={"SALEOR": {API: {"store": STORE, "payment_account": "default"}}}, account={}, webhooks=True) as scene:
        orders = _sell(key, count + WARM_UP)
        asks = _asks(scene, key, orders)
        time_each(asks[:WARM_UP])
        worked = _processor_ms(scene.web.pid)
        taken = time_each(asks[WARM_UP:])
        worked = (_processor_ms(scene.web.pid) - worked) / count
        held = Refund.objects.filter(payment__purchase__store__slug=STORE).count()
        sent = scene.posts()
    if held != len(asks):
        raise RuntimeError(f"{held} of {len(asks)} refunds were begun.")
    return [
        at_most(f"TRANSACTION_REFUND_REQUESTED to answer, {count} orders, p95", percentile(taken, 95), 100, "ms", 1),
        Row("  p50", f"{percentile(taken, 50):.1f} ms"),
        Row("  processor time of the web process, each", f"{worked:.1f} ms"),
        at_most("  refunds asked for at the gateway before the answer", sent, 0, "", 0),
    ]


def _processor_ms(pid: int) -> float:
    """Return how long a process has computed so far: on a busy machine it says more than how long the answer took."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def _sell(key: SigningKey, count: int) -> list[int]:
    """Record as many orders of an installed Saleor, paid through our App; return their numbers."""
    now = clock.now()
    ensure_accounts()
    store = Store.objects.create(slug=STORE, name="Saleor", adapter="saleor", timezone="UTC")
    GatewayAccount.objects.create(slug=STORE, kind="saleor", livemode=True)
    SaleorInstallation.objects.create(
        slug=STORE,
        api_url=API,
        app_id=APP,
        token_encrypted=encrypt("token"),
        version="3.23.28",
        keys={"keys": [key.jwk]},
        keys_read_at=now,
        installed_at=now,
    )
    for number in range(count):
        line = LineData(
            sku="EBOOK-1", name="The Slow Web", product_type="ebook", paid_minor=PRICE_MINOR, metadata={"saleor_line": f"line-{number}"}
        )
        payment = PaymentData(
            gateway_payment_id=f"pi_bench_{number}",
            captured_minor=PRICE_MINOR,
            account="default",
            metadata={"saleor_transaction": f"transaction-{number}"},
            captured_at=now,
            has_history=False,
        )
        bought = PurchaseData(
            number=f"B{number}",
            email=f"customer{number}@example.com",
            currency="EUR",
            purchased_at=now - timedelta(days=2),
            lines=(line,),
            payments=(payment,),
            metadata={"saleor_order": f"order-{number}"},
        )
        record_purchase(store=store, data=bought, now=now)
    return list(range(count))


def _asks(scene: Scene, key: SigningKey, orders: list[int]) -> list[Callable[[], None]]:
    session = requests.Session()
    wait_until(lambda: _is_up(session, scene.web_url), timeout_seconds=START_SECONDS, what="the start of the site")
    return [_ask(session, f"{scene.web_url}/refunds/saleor/transactions/", key, _request(number)) for number in orders]


def _is_up(session: requests.Session, url: str) -> bool:
    try:
        return session.get(f"{url}/refunds/saleor/manifest.json", timeout=5).ok
    except requests.ConnectionError:
        return False


def _request(number: int) -> dict[str, Any]:
    amount = {"amount": PRICE_MINOR / 100, "currency": "EUR"}
    event = {"id": f"event-{number}", "type": "REFUND_REQUEST", "pspReference": "", "idempotencyKey": f"key-{number}", "amount": amount}
    return {
        "__typename": "TransactionRefundRequested",
        "issuedAt": clock.now().isoformat(),
        "recipient": {"id": APP},
        "action": {"actionType": "REFUND", **amount},
        "grantedRefund": {"id": f"grant-{number}", "reason": "", "lines": [{"quantity": 1, "orderLine": {"id": f"line-{number}"}}]},
        "transaction": {
            "id": f"transaction-{number}",
            "pspReference": f"pi_bench_{number}",
            "order": {"id": f"order-{number}", "number": f"B{number}"},
            "events": [event],
        },
    }


def _ask(session: requests.Session, url: str, key: SigningKey, told: dict[str, Any]) -> Callable[[], None]:
    body = json.dumps(told).encode()
    headers = {"Content-Type": "application/json", "Saleor-Api-Url": API, "Saleor-Signature": key.sign_webhook(body)}

    def ask() -> None:
        answer = session.post(url, data=body, headers=headers, timeout=20)
        if answer.status_code != 200 or "result" in answer.json():
            raise RuntimeError(f"The refund was not begun: {answer.status_code} {answer.text[:500]}")

    return ask
