"""The older sales of an account are read page by page over real HTTP, whatever interrupts, and each is recorded once."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from demo.sandbox.process import SandboxServer
from refund_plugin import clock
from refund_plugin.gateways.models import SlotKind
from refund_plugin.gateways.sales import Sale
from refund_plugin.gateways.services import default_account, gateway_for
from refund_plugin.orders import backfill
from refund_plugin.orders.models import Payment, Purchase, SalesBackfill
from refund_plugin.refunds.history import read_histories
from tests.commands.helpers import Ran, run

LINE = {"name": "E-book", "amount": 1190, "metadata": {"sku": "BOOK-1"}}
ONE_PAGE, TWO_PAGES_AND_A_BIT = 100, 203


@pytest.fixture(autouse=True)
def order_book(sandbox: SandboxServer, settings: Any, transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "ORDER_BOOKS": {"default": ""}, "RATE_PER_SECOND": 0}
    monkeypatch.setattr(backfill, "WAITS_SECONDS", (0, 0))
    default_account()


def read(*arguments: str) -> Ran:
    return run("refunds_backfill_stripe", *arguments)


def counts(ran: Ran) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(ran.out.splitlines()[-1])
    return {name: told[name] for name in ("created", "unchanged", "ignored", "rejected")}


def sell(sandbox: SandboxServer, count: int, **wish: Any) -> list[str]:
    ids: list[str] = sandbox.post("sales/bulk", count=count, lines=[LINE], **wish)["ids"]
    return ids


def payment_of(session: str) -> str:
    sale = gateway_for(default_account()).read_sale(session, "checkout_session")
    assert isinstance(sale, Sale)
    return sale.payments[0].gateway_payment_id


def test_more_sales_than_two_pages_hold_are_all_read_once(sandbox: SandboxServer) -> None:
    sell(sandbox, TWO_PAGES_AND_A_BIT)
    sandbox.post("sales", mode="subscription", lines=[{"name": "Plan", "amount": 3000}])
    sandbox.post("sales", mode="invoice", lines=[LINE])
    sandbox.post("sales", lines=[{**LINE, "amount": 0}])

    ran = read("--json")
    assert ran.code == 0, ran.err
    assert counts(ran) == {"created": TWO_PAGES_AND_A_BIT + 2, "unchanged": 0, "ignored": 0, "rejected": 0}
    assert Purchase.objects.count() == Payment.objects.count() == TWO_PAGES_AND_A_BIT + 2
    assert SalesBackfill.objects.get().finished_at is not None

    assert counts(read("--json")) == {"created": 0, "unchanged": TWO_PAGES_AND_A_BIT + 2, "ignored": 0, "rejected": 0}
    assert Purchase.objects.count() == TWO_PAGES_AND_A_BIT + 2


def test_a_run_that_was_interrupted_goes_on_with_its_page(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    sell(sandbox, ONE_PAGE + 3)
    recorded = backfill.record_sale

    def interrupted(**arguments: Any) -> Any:
        if Purchase.objects.count() == ONE_PAGE + 1:
            raise KeyboardInterrupt
        return recorded(**arguments)

    monkeypatch.setattr(backfill, "record_sale", interrupted)
    ran = read("--json")
    assert (ran.code, counts(ran)["created"]) == (130, ONE_PAGE + 1)
    assert SalesBackfill.objects.get().finished_at is None
    monkeypatch.undo()

    sandbox.post("counters/reset")
    ran = read()
    assert ran.code == 0, ran.err
    assert ran.out.splitlines() == [
        "default: going on where the last run ended.",
        "default: 3 sales read: 2 created, 0 updated, 1 unchanged, 0 without a payment, 0 left out.",
    ]
    assert Purchase.objects.count() == ONE_PAGE + 3
    assert sandbox.get("counters")["requests"]["GET /v1/checkout/sessions"] == {"200": 1}


def test_what_was_refunded_and_disputed_before_is_read_after_the_sale(sandbox: SandboxServer) -> None:
    half, disputed, plain = (payment_of(session) for session in sell(sandbox, 3))
    sandbox.post("refunds", payment_intent=half, amount=500)
    sandbox.post("disputes", payment_intent=disputed)

    assert counts(read("--json"))["created"] == 3
    due = Payment.objects.filter(history_due_at__isnull=False).values_list("gateway_payment_id", flat=True)
    assert set(due) == {half, disputed}, "of the others the gateway has told that there is nothing to ask"

    assert read_histories(clock.now()) == 2
    left = {payment.gateway_payment_id: payment.left.minor for payment in Payment.objects.all()}
    assert left == {half: 690, disputed: 0, plain: 1190}
    assert not Payment.objects.filter(history_due_at__isnull=False).exists()


def test_reading_again_repairs_a_payment_whose_refund_nobody_told(sandbox: SandboxServer) -> None:
    [session] = sell(sandbox, 1)
    read()
    sandbox.post("refunds", payment_intent=payment_of(session), amount=500)

    assert counts(read("--json"))["unchanged"] == 1
    read_histories(clock.now())
    assert Payment.objects.get().gone_minor == 500

    read()
    assert not Payment.objects.filter(history_due_at__isnull=False).exists(), "what is known already is not asked for again"


def test_another_first_day_begins_anew(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    sell(sandbox, 2)
    SalesBackfill.objects.create(account=default_account(), kind="invoice", changed_at=clock.now())

    assert counts(read("--json", "--since", "2026-01-01"))["created"] == 2


def test_sales_before_the_first_day_are_left_alone(sandbox: SandboxServer) -> None:
    sell(sandbox, 2)
    tomorrow = clock.now() + timedelta(days=1)
    assert counts(read("--json", "--since", tomorrow.isoformat()))["created"] == 0
    assert not Purchase.objects.exists()


def test_a_dry_run_tells_what_would_happen_and_keeps_nothing(sandbox: SandboxServer) -> None:
    sell(sandbox, 3)
    ran = read("--dry-run")
    assert (ran.code, ran.out) == (
        0,
        "default: 3 sales read: 3 would be created, 0 would be updated, 0 unchanged, 0 without a payment, 0 left out.\n",
    )
    assert not Purchase.objects.exists()
    assert not SalesBackfill.objects.exists()


def test_calls_that_fail_are_made_again(sandbox: SandboxServer) -> None:
    sell(sandbox, 30)
    sandbox.post("faults", kind="status", status=429, times=1, method="GET", path="/v1/checkout/sessions")
    sandbox.post("faults", kind="status", status=503, times=1, method="GET", path="/v1/payment_intents")

    assert counts(read("--json")) == {"created": 30, "unchanged": 0, "ignored": 0, "rejected": 0}


def test_a_gateway_that_stays_silent_ends_the_run_which_can_be_taken_up(sandbox: SandboxServer) -> None:
    sell(sandbox, 3)
    sandbox.post("faults", kind="status", status=503, method="GET", path="/v1/payment_intents", times=1000)
    ran = read()
    assert ran.code == 3
    assert "Run the same command again to go on" in ran.err

    sandbox.post("faults/clear")
    assert counts(read("--json"))["created"] == 3


def test_a_refused_key_is_not_tried_again(sandbox: SandboxServer) -> None:
    sandbox.post("faults", kind="status", status=401, method="GET", times=1000)
    ran = read()
    assert ran.code == 3
    assert "Correct the account first" in ran.err
    assert sum(sum(count.values()) for count in sandbox.get("counters")["requests"].values()) == 1


def test_a_sale_that_cannot_be_recorded_is_named_and_the_others_are_kept(sandbox: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    sell(sandbox, 2)
    [nameless] = sell(sandbox, 1, email="nobody")
    ran = read("--json")
    assert ran.code == 1
    assert counts(ran) == {"created": 2, "unchanged": 0, "ignored": 0, "rejected": 1}
    assert f"{nameless} was left out: email: Write the e-mail address" in ran.err


def test_reading_keeps_to_the_rate_that_all_workers_share(sandbox: SandboxServer, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "RATE_PER_SECOND": 1000}
    taken: list[int] = []
    monkeypatch.setattr(backfill, "take_slots", lambda account, kind, wanted: taken.append((kind, wanted)) or [0.0] * wanted)
    sell(sandbox, 5)

    assert read().code == 0
    assert taken == [(SlotKind.READ, 1), (SlotKind.READ, 5), (SlotKind.READ, 1)]  # the sessions' page, five sales, the invoices' page


def test_an_account_that_is_no_order_book_is_wrong_usage(settings: Any) -> None:
    assert (read("--account", "other").code, "other" in read("--account", "other").err) == (2, True)

    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "ORDER_BOOKS": {}}
    assert (read().code, "ORDER_BOOKS" in read().err) == (2, True)


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01"])
def test_a_day_that_cannot_be_read_is_wrong_usage(since: str) -> None:
    assert read("--since", since).code == 2
