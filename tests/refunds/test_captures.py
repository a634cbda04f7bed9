"""What is captured follows the gateway's word; a payment that is not captured is let go of, and only as a whole."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest

from refund_plugin.errors import InvalidInput
from refund_plugin.gateways.facts import WebhookPayment
from refund_plugin.gateways.services import default_account
from refund_plugin.money import Money
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.captures import record_capture
from refund_plugin.refunds.ledger.verify import verify
from refund_plugin.refunds.models import Alert, Refund
from refund_plugin.refunds.retry import retry_refund
from refund_plugin.refunds.review import approve_request
from tests.factories import COURSE, EBOOK, LICENCE, NOW, make_purchase
from tests.refunds.helpers import CLERK, ask, only_refund

_numbers = itertools.count()


def word(purchase, minor=1820, *, captured=True, canceled=False, currency="EUR", at=0):
    return WebhookPayment(
        event_id=f"evt_{next(_numbers)}",
        event_type="payment_intent.succeeded",
        livemode=False,
        created=NOW + timedelta(seconds=at),
        gateway_payment_id=purchase.payments.get().gateway_payment_id,
        captured=Money(minor, currency),
        is_captured=captured,
        is_canceled=canceled,
    )


def tell(*told):
    for item in told:
        record_capture(account=default_account(), told=item, now=NOW)


def authorised(gateway, lines=(EBOOK,)):
    """A purchase whose payment is not captured yet."""
    purchase = make_purchase(lines=lines, captured=False)
    payment = purchase.payments.get()
    Payment.objects.filter(pk=payment.pk).update(is_captured=False)
    gateway.add_payment(payment.gateway_payment_id, Money(payment.captured_minor, "EUR"), is_captured=False)
    return purchase


def fine():
    report = verify()
    assert report.fine, report.differences
    return True


def test_an_uncaptured_payment_is_let_go_of_instead_of_refunded(policy, gateway):
    purchase = authorised(gateway)

    request = ask(purchase)
    drive_refunds()

    refund, payment = only_refund(request), purchase.payments.get()
    assert (refund.operation, refund.state, refund.gateway_refund_id) == (
        "cancel_payment",
        "succeeded",
        f"cancel:{payment.gateway_payment_id}",
    )
    assert (payment.gone_minor, payment.left.minor) == (1820, 0) and fine()
    tell(word(purchase, 0, captured=False, canceled=True))  # the gateway's own word about it comes later
    assert Refund.objects.count() == 1 and not Alert.objects.exists()


def test_a_part_of_an_uncaptured_payment_goes_to_a_person_who_cannot_either(policy, gateway):
    purchase = authorised(gateway, [EBOOK, LICENCE])
    line = purchase.lines.first()

    request = ask(purchase, {line: 1})

    assert request.state == "in_review"
    with pytest.raises(InvalidInput, match="not captured yet"):
        approve_request(request_id=request.pk, by=CLERK, reason="Fine.", amounts={line.pk: 1820}, now=NOW)
    assert not Refund.objects.exists() and purchase.payments.get().held_minor == 0


def test_one_uncaptured_payment_among_several_is_let_go_of_when_it_matches(policy, gateway):
    purchase = make_purchase(lines=[EBOOK, COURSE], payments=[1820, 2987])
    first = purchase.payments.first()
    Payment.objects.filter(pk=first.pk).update(is_captured=False)
    gateway._ledger.payments[first.gateway_payment_id].is_captured = False

    request = ask(purchase, {purchase.lines.first(): 1})
    drive_refunds()

    assert (only_refund(request).operation, only_refund(request).state) == ("cancel_payment", "succeeded")


def test_captured_meanwhile_what_was_about_to_be_let_go_of_becomes_a_refund(policy, gateway):
    purchase = authorised(gateway)
    request = ask(purchase)
    gateway.capture(purchase.payments.get().gateway_payment_id)

    tell(word(purchase))
    drive_refunds()

    refund = only_refund(request)
    assert (refund.operation, refund.state) == ("refund", "succeeded") and fine()


def test_when_the_letting_go_came_too_late_its_successor_is_a_refund(policy, gateway):
    purchase = authorised(gateway)
    request = ask(purchase)
    gateway.capture(purchase.payments.get().gateway_payment_id)
    drive_refunds()
    refund = only_refund(request)
    assert refund.state == "failed"

    tell(word(purchase))
    successor = retry_refund(refund_id=refund.pk, by=CLERK, reason="It is captured now.", now=NOW)
    drive_refunds()

    successor.refresh_from_db()
    assert (successor.operation, successor.state) == ("refund", "succeeded") and fine()


def test_less_captured_than_authorised_is_what_can_be_refunded(policy, gateway):
    purchase = authorised(gateway)

    tell(word(purchase, 1000))

    payment = purchase.payments.get()
    assert (payment.captured_minor, payment.is_captured, payment.left.minor) == (1000, True, 1000)
    assert payment.captured_at is not None


def test_less_captured_than_is_on_its_way_stops_it_and_is_told(policy, gateway):
    purchase = authorised(gateway)
    request = ask(purchase)

    tell(word(purchase, 1000))
    drive_refunds()

    payment = purchase.payments.get()
    assert (payment.held_minor, payment.over_minor) == (1820, 820)
    assert only_refund(request).waits_for == "person" and gateway.sent == []
    assert Alert.objects.get().kind == "money_over" and fine()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_captures_in_parts_grow_in_whatever_order_they_are_told(policy, gateway, order):
    purchase = make_purchase(lines=[EBOOK])
    Payment.objects.filter(purchase=purchase).update(captured_minor=600)
    story = [word(purchase, 600), word(purchase, 1200, at=1), word(purchase, 1820, at=2)]

    tell(*(story[index] for index in order), *story)

    assert purchase.payments.get().captured_minor == 1820


def test_a_payment_that_somebody_else_let_go_of_leaves_nothing_to_refund(policy, gateway):
    purchase = authorised(gateway)

    tell(word(purchase, 0, captured=False, canceled=True), word(purchase, 0, captured=False, canceled=True))

    refund, payment = Refund.objects.get(), purchase.payments.get()
    assert (refund.origin, refund.operation, refund.state) == ("external", "cancel_payment", "succeeded")
    assert (payment.gone_minor, payment.left.minor, payment.over_minor) == (1820, 0, 0)
    assert Alert.objects.get().kind == "external_refund" and fine()


def test_a_payment_let_go_of_at_the_gateway_completes_ours(policy, gateway):
    purchase = authorised(gateway)
    request = ask(purchase)

    tell(word(purchase, 0, captured=False, canceled=True))

    assert only_refund(request).state == "succeeded" and Refund.objects.count() == 1 and fine()


def test_a_payment_we_do_not_know_and_another_currency(policy, gateway):
    purchase = authorised(gateway)
    with pytest.raises(ValueError, match="USD"):
        tell(word(purchase, currency="USD"))
    told = word(purchase)
    Payment.objects.update(gateway_payment_id="pi_other")

    assert record_capture(account=default_account(), told=told, now=NOW) is None
    assert not Payment.objects.get().is_captured


def test_a_capture_finds_the_payment_by_the_name_of_its_charge(policy, gateway):
    purchase = authorised(gateway)
    tell(replace(word(purchase, 1000), gateway_payment_id="pi_1", charge_id=purchase.payments.get().gateway_payment_id))
    assert purchase.payments.get().captured_minor == 1000
