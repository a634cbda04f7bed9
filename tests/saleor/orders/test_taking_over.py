"""The orders that a Saleor took before the App was there are read page by page by workers, whatever interrupts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from refund_plugin import clock
from refund_plugin.orders import backfill, taking_over
from refund_plugin.orders.models import Payment, Purchase, SalesBackfill
from refund_plugin.refunds.history import read_histories
from refund_plugin.refunds.models import Refund
from refund_plugin.saleor import api
from refund_plugin.webhooks.models import WebhookEvent
from tests.commands.helpers import run
from tests.saleor.orders.shop import Shop
from tests.saleor.standin.traps import Fault

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "FULL_PAGE_SIZE", 3)
    monkeypatch.setattr(backfill, "WAITS_SECONDS", (0,))


@pytest.fixture
def old(shop: Shop) -> Shop:
    """Seven orders of a time before the App, and nothing told of them: five digital ones, of these one refunded in part."""
    before = clock.now() - timedelta(days=30)
    for day in range(5):
        _order, transaction = shop.sell({"price": "30.00"}, created=before + timedelta(days=day))
    shop.saleor.refund_at_once(transaction, "10.00")
    shop.sell({"price": "9.00", "shipping": True}, created=before + timedelta(days=6))
    shop.saleor.add_order(lines=[{"price": "9.00"}], created=before + timedelta(days=7))
    shop.saleor.work()
    WebhookEvent.objects.all().delete()
    return shop


def begin(shop: Shop, **options: Any) -> SalesBackfill:
    return taking_over.start_backfill(account=shop.account, now=clock.now(), **options)


def test_after_the_installation_all_older_orders_are_read_by_themselves(old: Shop) -> None:
    # the handshake has begun it
    assert SalesBackfill.objects.get().is_automatic
    assert taking_over.advance_backfills(clock.now()) == 3
    row = SalesBackfill.objects.get()
    assert (row.read, row.expected, row.share_done, row.last_error) == (7, 7, 1.0, "")
    assert {name: count for name, count in row.counts.items() if count} == {"created": 5, "ignored": 2}
    assert (Purchase.objects.count(), Payment.objects.count()) == (5, 5)
    assert taking_over.advance_backfills(clock.now()) == 0

    begin(old)
    taking_over.advance_backfills(clock.now())
    assert SalesBackfill.objects.get().counts["unchanged"] == 5
    assert Purchase.objects.count() == 5


def test_what_was_refunded_before_is_learned_after_the_order(old: Shop) -> None:
    taking_over.advance_backfills(clock.now())
    (due,) = Payment.objects.filter(history_due_at__isnull=False)
    assert read_histories(clock.now()) == 1
    due.refresh_from_db()
    assert (due.gone_minor, due.history_due_at, Refund.objects.count()) == (1000, None, 1)


def test_a_worker_that_dies_leaves_its_page_to_the_next_one(old: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    row = SalesBackfill.objects.get()
    assert taking_over._claim(row)
    assert taking_over.advance_backfills(clock.now()) == 0, "somebody reads"
    SalesBackfill.objects.update(lease_until=clock.database_now() - timedelta(seconds=1))
    assert taking_over.advance_backfills(clock.now()) == 3
    assert Purchase.objects.count() == 5


def test_a_saleor_that_does_not_answer_is_asked_again_later_for_the_same_page(old: Shop) -> None:
    old.saleor.traps.add(Fault("502", operation="OrdersPage", skip=1, times=3))
    assert taking_over.advance_backfills(clock.now()) == 1
    row = SalesBackfill.objects.get()
    assert (row.failures, row.read, bool(row.last_error)) == (1, 3, True)
    assert 0 < row.share_done < 1
    SalesBackfill.objects.update(lease_until=None)
    assert taking_over.advance_backfills(clock.now()) == 2
    row.refresh_from_db()
    assert (row.failures, row.read, row.last_error, row.share_done) == (0, 7, "", 1.0)


def test_a_page_with_an_order_that_cannot_be_recorded_records_the_others(old: Shop) -> None:
    list(old.saleor.world.orders.values())[1].user_email = "nobody"
    taking_over.advance_backfills(clock.now())
    row = SalesBackfill.objects.get()
    assert (row.counts["created"], row.counts["rejected"], row.share_done) == (4, 1, 1.0)


def test_orders_older_than_the_day_are_left_out(old: Shop) -> None:
    begin(old, since=clock.now() - timedelta(days=27, hours=1))
    taking_over.advance_backfills(clock.now())
    assert Purchase.objects.count() == 2


def test_pages_that_cost_too_much_become_smaller_and_none_is_lost(old: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    old.saleor.maximum_cost = 1000
    monkeypatch.setattr(api, "FULL_PAGE_SIZE", 50)
    taking_over.advance_backfills(clock.now())
    assert Purchase.objects.count() == 5


def test_the_command_reads_the_same_and_a_dry_run_keeps_nothing(old: Shop) -> None:
    SalesBackfill.objects.all().delete()
    dry = run("refunds_backfill_saleor", "--dry-run", "--json")
    assert (dry.code, Purchase.objects.count()) == (0, 0)
    assert '"created": 5' in dry.out
    ran = run("refunds_backfill_saleor", "--account", "paper-heron")
    assert ran.code == 0, ran.err
    assert ran.out == "paper-heron: 7 sales read: 5 created, 0 updated, 0 unchanged, 2 without a payment, 0 left out.\n"
    assert Purchase.objects.count() == 5


def test_the_command_names_the_saleors_that_there_are(old: Shop) -> None:
    ran = run("refunds_backfill_saleor", "--account", "other")
    assert (ran.code, "paper-heron" in ran.err) == (2, True)
