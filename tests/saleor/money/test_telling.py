"""Saleor shows what became of every refund of our payments, whoever began it and however often the line breaks."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from refund_plugin import clock
from refund_plugin.gateways.base import AnswerKind
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import default_account
from refund_plugin.money import Money
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.externals import record_external
from refund_plugin.refunds.manual.services import claim_by_hand, give_proof
from refund_plugin.refunds.models import Alert
from refund_plugin.refunds.retry import retry_refund
from refund_plugin.refunds.services import cancel_request
from refund_plugin.refunds.telling import services
from refund_plugin.refunds.telling.models import StoreTelling
from refund_plugin.refunds.telling.services import FAILURES_FOR_ALERT, tell_stores
from tests.refunds.helpers import CLERK, ask
from tests.saleor.money.shop import Shop, Sold, books_agree, references, told
from tests.saleor.standin.traps import Fault

pytestmark = pytest.mark.django_db


def asked_here(shop: Shop, sold: Sold) -> Any:
    """A customer asks for everything, and our policy approves."""
    ask(sold.purchase, now=clock.now())
    [refund] = sold.refunds
    return refund


def due() -> int:
    return StoreTelling.objects.filter(due_at__isnull=False).count()


def test_a_refund_that_began_here_is_pending_in_saleor_and_then_refunded(shop: Shop):
    sold = shop.sell("30.00")
    refund = asked_here(shop, sold)
    shop.follow()
    assert (sold.transaction.refund_pending, sold.transaction.charged) == (30, 0)
    shop.pay()

    assert told(sold) == ["REFUND_REQUEST", "REFUND_SUCCESS"] and {name for name, _type in references(sold)} == {str(refund.pk)}
    assert sold.transaction.refund_pending == 0 and due() == 0 and books_agree(sold)


def test_what_is_over_before_saleor_heard_of_it_is_told_by_one_report(shop: Shop):
    sold = shop.sell("30.00")
    asked_here(shop, sold)
    shop.pay()

    assert told(sold) == ["REFUND_SUCCESS"] and books_agree(sold)


def test_a_refund_that_was_taken_back_before_saleor_heard_of_it_is_not_told_at_all(shop: Shop):
    sold = shop.sell("30.00")
    refund = asked_here(shop, sold)
    cancel_request(request_id=refund.request_id, by=CLERK, now=clock.now())
    shop.follow()

    assert told(sold) == [] and due() == 0 and books_agree(sold)


def test_a_refund_that_was_taken_back_after_saleor_heard_of_it_is_not_pending_there(shop: Shop):
    sold = shop.sell("30.00")
    refund = asked_here(shop, sold)
    shop.follow()
    cancel_request(request_id=refund.request_id, by=CLERK, now=clock.now())
    shop.follow()

    assert told(sold) == ["REFUND_REQUEST", "REFUND_FAILURE"]
    assert (sold.transaction.refund_pending, sold.transaction.charged) == (0, 30) and books_agree(sold)


def test_money_that_came_back_is_reversed_and_not_called_failed(shop: Shop):
    sold = shop.sell("30.00")
    grant = shop.grant(sold, "20.00")
    shop.pay()
    shop.hear(sold.refunds[0], AnswerKind.FAILED)

    assert told(sold) == ["REFUND_REQUEST", "REFUND_SUCCESS", "REFUND_REVERSE"]
    assert (sold.transaction.refunded, sold.transaction.charged, grant.status) == (0, 30, "NONE") and books_agree(sold)


def test_a_retry_here_of_what_failed_goes_on_under_the_reference_so_that_the_granted_refund_succeeds(shop: Shop):
    sold = shop.sell("30.00")
    grant = shop.grant(sold, "20.00")
    [first] = sold.refunds
    shop.hear(first, AnswerKind.FAILED)
    assert grant.status == "FAILURE"
    retry_refund(refund_id=first.pk, by=CLERK, reason="the card works again", now=clock.now())
    shop.pay()

    assert told(sold) == ["REFUND_REQUEST", "REFUND_FAILURE", "REFUND_SUCCESS"] and grant.status == "SUCCESS"
    assert {name for name, _type in references(sold)} == {str(first.pk)} and books_agree(sold)


def test_a_retry_here_of_money_that_came_back_gets_a_reference_of_its_own(shop: Shop):
    sold = shop.sell("30.00")
    shop.grant(sold, "20.00")
    shop.pay()
    [first] = sold.refunds
    shop.hear(first, AnswerKind.FAILED)
    second = retry_refund(refund_id=first.pk, by=CLERK, reason="another card", now=clock.now())
    shop.pay()

    assert references(sold)[str(second.pk), "REFUND_SUCCESS"] == {20}
    assert sold.transaction.refunded == 20 and books_agree(sold)


def test_money_that_came_back_and_was_granted_anew_in_saleor_is_paid_again_once(shop: Shop):
    sold = shop.sell("30.00")
    grant = shop.grant(sold, "20.00")
    shop.pay()
    shop.hear(sold.refunds[0], AnswerKind.FAILED)
    shop.send(grant)
    shop.pay()

    first, second = sold.refunds
    assert (second.supersedes_id, grant.status, sold.transaction.refunded) == (first.pk, "SUCCESS", 20) and books_agree(sold)


def test_a_refund_made_at_the_payment_provider_is_shown_by_saleor(shop: Shop):
    sold = shop.sell("30.00")
    payment = sold.payment
    name = shop.gateway.refund_externally(payment.gateway_payment_id, Money(500, "EUR"))
    answer = shop.gateway.retrieve(name)
    record_external(payment_id=payment.pk, answer=answer, told_at=clock.now(), now=clock.now())
    shop.follow()

    assert told(sold) == ["REFUND_SUCCESS"] and sold.transaction.refunded == 5 and books_agree(sold)


def test_what_a_person_paid_by_hand_is_shown_with_its_proof(shop: Shop):
    sold = shop.sell("30.00")
    refund = asked_here(shop, sold)
    claim_by_hand(refund_id=refund.pk, by=CLERK, now=clock.now())
    give_proof(refund_id=refund.pk, by=CLERK, method="bank", reference="SEPA-77", paid_on=clock.now().date(), now=clock.now())
    shop.follow()

    assert "SEPA-77" in sold.transaction.events[-1].message and sold.transaction.refunded == 30 and books_agree(sold)


def test_the_store_that_moves_the_money_itself_is_not_told(shop: Shop):
    sold = shop.sell("30.00")
    Payment.objects.filter(purchase=sold.purchase).update(account=GatewayAccount.objects.get(slug="saleor-shop"))
    refund = asked_here(shop, sold)
    refund.account_id = sold.payment.account_id
    refund.save(update_fields=["account"])
    services.refresh_refunds(refund_ids=[refund.pk], now=clock.now())

    assert not StoreTelling.objects.exists()


@pytest.mark.parametrize("kind", ["garbage", "500", "drop", "too_large"])
@pytest.mark.parametrize("executed", [True, False])
def test_a_report_whose_answer_was_lost_is_made_once(shop: Shop, kind: Any, executed: bool):
    sold = shop.sell("30.00")
    asked_here(shop, sold)
    shop.standin.traps.add(Fault(kind, operation="TransactionEventReport", executed=executed))
    shop.pay()
    assert due() == 1 and sold.transaction.refunded == (30 if executed else 0)
    shop.later(11)

    assert told(sold) == ["REFUND_SUCCESS"] and due() == 0 and books_agree(sold)
    assert not Alert.objects.exists()


def test_a_saleor_that_is_down_holds_no_money_up_and_is_told_when_it_is_back(shop: Shop):
    sold = shop.sell("30.00")
    asked_here(shop, sold)
    shop.standin.traps.add(Fault("500", times=10_000))
    shop.pay()
    assert sold.payment.gone_minor == 3000 and told(sold) == []
    waited = 0
    for _try in range(FAILURES_FOR_ALERT):
        waited += 4000
        with clock.travel(clock.timedelta(seconds=waited)):
            tell_stores(clock.now())
    alert = Alert.objects.get(kind="store_books_stuck")
    assert f"order {sold.order.number}: the store's books do not follow" in alert.why
    shop.standin.traps.clear()
    shop.later(waited + 4000)

    assert sold.transaction.refunded == 30 and due() == 0 and books_agree(sold)


def test_while_a_store_is_down_it_is_asked_once_in_a_run_and_not_for_every_refund(shop: Shop):
    for _n in range(4):
        sold = shop.sell("30.00")
        asked_here(shop, sold)
    shop.standin.traps.add(Fault("500", times=10_000))
    shop.standin.calls.clear()
    StoreTelling.objects.update(due_at=clock.database_now())
    tell_stores(clock.now())

    assert len(set(shop.standin.calls)) <= 1 and len(shop.standin.calls) <= 3  # a read is tried three times


@pytest.mark.parametrize("lost", ["HANDLE_PAYMENTS", "all"])
def test_a_permission_that_was_taken_away_is_named_in_an_alert_and_the_telling_goes_on_when_it_is_back(shop: Shop, lost: str):
    sold = shop.sell("30.00")
    asked_here(shop, sold)
    before, shop.app.permissions = shop.app.permissions, ["MANAGE_ORDERS"] if lost != "all" else []
    shop.pay()
    assert "HANDLE_PAYMENTS" in Alert.objects.get(kind="store_books_stuck").why and told(sold) == []
    shop.app.permissions = before
    shop.later(3700)

    assert sold.transaction.refunded == 30 and books_agree(sold)


def test_a_rate_limit_is_waited_for_and_no_alert(shop: Shop):
    sold = shop.sell("30.00")
    asked_here(shop, sold)
    shop.standin.traps.retry_after_seconds = 30
    shop.standin.traps.add(Fault("rate_limit", operation="TransactionById"))
    shop.pay()
    assert StoreTelling.objects.get().failures == 0 and told(sold) == []
    shop.later(31)

    assert told(sold) == ["REFUND_SUCCESS"] and not Alert.objects.exists()


def test_an_app_that_was_removed_is_an_alert_and_not_a_lost_refund(shop: Shop):
    sold = shop.sell("30.00")
    asked_here(shop, sold)
    type(shop.installation).objects.update(is_active=False, token_encrypted="")
    shop.pay()

    assert "not installed" in Alert.objects.get(kind="store_books_stuck").why and sold.payment.gone_minor == 3000


def test_a_worker_that_died_while_telling_is_followed_by_another_and_saleor_counts_once(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    sold = shop.sell("30.00")
    asked_here(shop, sold)
    monkeypatch.setattr(services, "_record", lambda telling, error, *, now: None)
    shop.pay()
    monkeypatch.undo()
    assert due() == 1 and StoreTelling.objects.get().lease_until is not None
    shop.follow()
    assert due() == 1  # somebody else may be telling it
    shop.later(130)

    assert told(sold) == ["REFUND_SUCCESS"] and due() == 0 and books_agree(sold)


def test_a_retry_begun_while_success_was_being_told_gets_a_name_of_its_own(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    sold = shop.sell("30.00")
    refund = asked_here(shop, sold)
    monkeypatch.setattr(services, "_record", lambda telling, error, *, now: None)  # told, and died before writing it down
    shop.pay()
    monkeypatch.undo()
    shop.hear(refund, AnswerKind.FAILED)
    second = retry_refund(refund_id=refund.pk, by=CLERK, reason="again", now=clock.now())
    shop.pay()
    shop.later(130)

    assert references(sold)[str(refund.pk), "REFUND_REVERSE"] == {30} and references(sold)[str(second.pk), "REFUND_SUCCESS"] == {30}
    assert books_agree(sold)


def test_what_may_be_used_is_written_on_the_line_for_staff_and_apps_alone(shop: Shop):
    sold = shop.sell("30.00")
    asked_here(shop, sold)
    shop.follow()
    [line] = sold.order.lines
    assert line.private_metadata["refunds.frozen"] == "1"
    shop.pay()

    wanted = {"refunds.usable": "0", "refunds.frozen": "0", "refunds.revoked": "1", "refunds.downloads": "0"}
    assert {key: line.private_metadata[key] for key in wanted} == wanted and line.metadata == {}


def test_telling_costs_a_fixed_number_of_statements_for_each_refund(shop: Shop):
    counts = []
    for many in (1, 4):
        StoreTelling.objects.all().delete()
        ids = []
        for _n in range(many):
            sold = shop.sell("30.00")
            ids.append(asked_here(shop, sold).pk)
        services.refresh_refunds(refund_ids=ids, now=clock.now())
        with CaptureQueriesContext(connection) as queries:
            assert tell_stores(clock.now()) == many
        counts.append(len(queries))

    assert (counts[1] - counts[0]) % 3 == 0 and (counts[1] - counts[0]) // 3 <= 12, counts


def test_an_event_about_nothing_of_a_store_changes_nothing(shop: Shop):
    assert services.refresh_refunds(refund_ids=[uuid.uuid4()], now=clock.now()) == 0
    assert default_account().slug == "main" and tell_stores(clock.now()) == 0
