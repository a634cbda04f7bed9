"""The consent ledger: what proves that a right to withdraw has ended, and what does not."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from refund_plugin.actor import SYSTEM
from refund_plugin.errors import InvalidInput, RefundPluginError, Required
from refund_plugin.events.models import Event
from refund_plugin.models import Consent, ConsentConfirmation
from refund_plugin.orders.access import correct_access, record_access
from refund_plugin.orders.models import Purchase, PurchaseLine
from refund_plugin.policies.consent import confirm_consent, consents_of, record_consent, wording_hash
from refund_plugin.stores.models import Store
from refund_plugin.stores.services import ensure_default_store
from tests.factories import BOUGHT, COURSE, EBOOK, NOW, line_with, make_purchase

WORDING = "I want it at once, and I know that I lose my right to withdraw with that. 14 Tage – ja!"


def agree(line: PurchaseLine | None = None, **changes: object) -> Consent:
    values = {
        "store": ensure_default_store(),
        "line": line,
        "wording": WORDING,
        "locale": "en",
        "agreed_to_begin": True,
        "acknowledged": True,
        "given_at": BOUGHT,
        "source_id": f"checkout-{line.pk if line else changes.get('order_number')}",
        "now": NOW,
        **changes,
    }
    return record_consent(**values)


def proven(line: PurchaseLine) -> bool | None:
    return consents_of([line.pk])[line.pk]


@pytest.fixture
def purchase(gateway) -> Purchase:
    return make_purchase(lines=(EBOOK, line_with(COURSE, nature="service")))


@pytest.fixture
def ebook(purchase) -> PurchaseLine:
    return purchase.lines.get(sku="EBOOK-1")


def test_consent_acknowledgement_and_confirmation_together_prove_it_and_nothing_less_does(ebook):
    consent = agree(ebook)
    assert proven(ebook) is False
    confirm_consent(consent=consent, confirmed_at=BOUGHT, now=NOW)
    assert proven(ebook) is True


@pytest.mark.parametrize("missing", ["agreed_to_begin", "acknowledged"])
def test_a_box_that_was_not_ticked_proves_nothing_even_when_confirmed(ebook, missing):
    confirm_consent(consent=agree(ebook, **{missing: False}), confirmed_at=BOUGHT, now=NOW)
    assert proven(ebook) is False


def test_consent_given_after_the_first_use_comes_too_late_unless_that_use_does_not_count(ebook):
    fact = record_access(line=ebook, kind="downloaded", source_id="1", occurred_at=BOUGHT - timedelta(minutes=1))
    confirm_consent(consent=agree(ebook), confirmed_at=BOUGHT, now=NOW)
    assert proven(ebook) is False
    correct_access(fact_id=fact.pk, reason="failed", note="It broke off.", by=SYSTEM, now=NOW)
    assert proven(ebook) is True


def test_an_answer_to_an_order_that_was_not_recorded_yet_counts_once_it_is_and_for_the_named_product_only(gateway):
    for sku in ("EBOOK-1", "COURSE-1"):
        consent = agree(order_number="#7001 ", sku=sku, source_id=f"cart-{sku}")
        if sku == "EBOOK-1":
            confirm_consent(consent=consent, confirmed_at=BOUGHT, now=NOW)
    lines = {line.sku: line.pk for line in make_purchase(number="7001", lines=(EBOOK, COURSE)).lines.all()}
    other = make_purchase(number="7002").lines.get()
    assert consents_of([*lines.values(), other.pk]) == {lines["EBOOK-1"]: True, lines["COURSE-1"]: False, other.pk: False}


def test_an_answer_to_a_whole_order_counts_for_each_of_its_lines(purchase):
    confirm_consent(consent=agree(order_number=purchase.number), confirmed_at=BOUGHT, now=NOW)
    assert set(consents_of([line.pk for line in purchase.lines.all()]).values()) == {True}


def test_the_same_order_number_in_another_shop_proves_nothing(purchase, ebook):
    other = Store.objects.create(slug="other", name="Other", timezone="UTC")
    confirm_consent(consent=agree(order_number=purchase.number, store=other), confirmed_at=BOUGHT, now=NOW)
    assert proven(ebook) is None


def test_without_a_ledger_nobody_knows_and_with_one_what_is_not_in_it_was_not_agreed_to(purchase, ebook):
    course = purchase.lines.get(sku="COURSE-1")
    assert consents_of([ebook.pk, course.pk]) == {ebook.pk: None, course.pk: None}
    later = make_purchase(purchased_at=BOUGHT + timedelta(days=2), lines=(EBOOK, line_with(COURSE, nature="service")))
    agree(order_number="somebody-else", given_at=BOUGHT + timedelta(days=1))
    assert consents_of([ebook.pk]) == {ebook.pk: None}, "it was sold before the ledger began"
    found = consents_of([line.pk for line in later.lines.all()])
    assert found == {later.lines.get(sku="EBOOK-1").pk: False, later.lines.get(sku="COURSE-1").pk: None}


def test_many_lines_take_one_statement_and_none_take_none(purchase, django_assert_num_queries):
    ids = [line.pk for line in purchase.lines.all()]
    with django_assert_num_queries(1):
        consents_of(ids)
    with django_assert_num_queries(0):
        assert consents_of([]) == {}


def test_the_wording_is_kept_to_the_character_with_its_hash_and_names_nobody(ebook):
    consent = Consent.objects.get(pk=agree(ebook, wording=" Ich stimme zu.\n").pk)
    assert (consent.wording, consent.wording_hash) == (" Ich stimme zu.\n", wording_hash(" Ich stimme zu.\n"))
    assert "ada@example.com" not in str(vars(consent))


def test_told_twice_it_is_one_row_and_under_the_name_of_another_answer_it_is_refused(ebook):
    first = agree(ebook)
    assert agree(ebook, given_at=BOUGHT + timedelta(hours=1)).pk == first.pk
    for changes in ({"wording": "Something else."}, {"acknowledged": False}, {"locale": "de"}):
        with pytest.raises(InvalidInput):
            agree(ebook, **changes)
    assert Consent.objects.count() == 1


def test_the_first_confirmation_counts(ebook):
    consent = agree(ebook)
    first = confirm_consent(consent=consent, confirmed_at=BOUGHT, now=NOW)
    assert confirm_consent(consent=consent, confirmed_at=NOW, now=NOW).pk == first.pk
    assert ConsentConfirmation.objects.get().confirmed_at == BOUGHT


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"wording": "  "}, "wording"),
        ({"wording": "x" * 10_001}, "wording"),
        ({"wording": "\x00"}, "wording"),
        ({"locale": "not a language"}, "locale"),
        ({"given_at": BOUGHT.replace(tzinfo=None)}, "given_at"),
        ({"given_at": NOW + timedelta(days=2)}, "given_at"),
        ({"source_id": ""}, "source_id"),
        ({"source": "No Word"}, "source"),
        ({"order_number": "7"}, "order_number"),
        ({"sku": "EBOOK-1"}, "order_number"),
        ({"order_number": "7" * 65}, "order_number"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_field_and_nothing_is_kept(ebook, changes, field):
    with pytest.raises(RefundPluginError) as caught:
        agree(ebook, **changes)
    assert (caught.value.field, Consent.objects.count()) == (field, 0)


def test_a_line_of_another_shop_and_a_consent_to_nothing_are_refused(ebook):
    other = Store.objects.create(slug="other", name="Other", timezone="UTC")
    with pytest.raises(InvalidInput):
        agree(ebook, store=other)
    with pytest.raises(Required):
        agree(None, source_id="1")
    assert not Consent.objects.exists()


@pytest.mark.parametrize(("moment", "channel"), [(BOUGHT - timedelta(days=3), "mail"), (NOW + timedelta(days=3), "mail"), (NOW, "A mail")])
def test_a_confirmation_before_the_consent_or_ahead_of_time_is_refused(ebook, moment, channel):
    consent = agree(ebook)
    with pytest.raises(InvalidInput):
        confirm_consent(consent=consent, confirmed_at=moment, channel=channel, now=NOW)
    assert not ConsentConfirmation.objects.exists()


def test_a_confirmation_is_asked_for_once_the_purchase_is_recorded_and_only_once(gateway):
    agree(order_number="7001")
    assert not Event.objects.filter(kind="consent_given").exists()
    purchase = make_purchase(number="7001")
    agree(order_number="7001")
    agree(order_number="7001")
    event = Event.objects.get(kind="consent_given")
    assert event.payload == {"consent": Consent.objects.get().pk, "customer_id": purchase.customer_id}


@pytest.mark.parametrize("changes", [{"confirm_by_mail": False}, {"acknowledged": False}])
def test_no_confirmation_is_asked_for_when_the_shop_sends_it_or_nothing_was_agreed_to(ebook, changes):
    agree(ebook, **changes)
    assert not Event.objects.filter(kind="consent_given").exists()


def test_the_database_itself_keeps_a_row_from_being_changed(ebook):
    consent = agree(ebook)
    if connection.vendor == "postgresql":
        with pytest.raises(IntegrityError), transaction.atomic():
            Consent.objects.filter(pk=consent.pk).update(acknowledged=False)
    with pytest.raises(IntegrityError), transaction.atomic():
        Consent.objects.create(store=consent.store, wording="x", agreed_to_begin=True, acknowledged=True, given_at=NOW, source_id="2")
