from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from hypothesis import given
from hypothesis import strategies as st

from refund_plugin.errors import InvalidInput, RefundPluginError, Required, UnknownCurrency, WrongState
from refund_plugin.orders.access import record_access
from refund_plugin.orders.data import PaymentData, Recorded
from refund_plugin.orders.models import AccessEvent, Customer, Payment, Purchase, PurchaseLine
from refund_plugin.orders.services import record_purchase, record_purchases
from refund_plugin.orders.validation import check_purchase
from tests.orders.examples import BOUGHT, COURSE, EBOOK, NOW, PAYMENT, order


def test_an_order_is_recorded_with_its_lines_payments_and_customer(store):
    purchase, created = record_purchase(store=store, data=order(number=" #1042 ", email=" Ada@Example.com "), now=NOW)

    assert created
    assert (purchase.number, purchase.customer.email, purchase.customer.name) == ("1042", "ada@example.com", "Ada")
    assert [(line.sku, line.paid_minor, line.quantity) for line in purchase.lines.all()] == [("EBOOK-1", 1820, 1), ("COURSE-1", 9000, 3)]
    payment = purchase.payments.get()
    assert (payment.account.slug, payment.captured_minor, payment.currency) == ("main", 10820, "EUR")


def test_telling_the_same_order_again_changes_nothing(store):
    first, _created = record_purchase(store=store, data=order(), now=NOW)
    [(second, recorded)] = record_purchases(store=store, items=[order()], now=NOW + timedelta(days=1))

    assert (second.pk, recorded) == (first.pk, Recorded.UNCHANGED)
    assert (Purchase.objects.count(), PurchaseLine.objects.count(), Payment.objects.count(), Customer.objects.count()) == (1, 2, 1, 1)


def test_a_corrected_order_updates_its_record_and_keeps_the_rows_of_lines_that_stay(store):
    purchase, _created = record_purchase(store=store, data=order(), now=NOW)
    ebook = purchase.lines.get(sku="EBOOK-1")
    extra = replace(EBOOK, sku="EBOOK-2", name="More letters", paid_minor=500, tax_minor=0)
    corrected = order(email="ada@new.example", lines=(extra, replace(EBOOK, paid_minor=1000)))

    [(purchase, recorded)] = record_purchases(store=store, items=[corrected], now=NOW)

    assert recorded is Recorded.UPDATED
    assert purchase.customer.email == "ada@new.example"
    assert {line.sku: line.paid_minor for line in purchase.lines.all()} == {"EBOOK-1": 1000, "EBOOK-2": 500}
    assert purchase.lines.get(sku="EBOOK-1").pk == ebook.pk
    assert record_purchases(store=store, items=[corrected], now=NOW)[0][1] is Recorded.UNCHANGED


@pytest.mark.parametrize("field", ["held_minor", "gone_minor", "disputed_minor"])
def test_an_order_whose_money_has_moved_can_be_told_again_but_not_changed(store, field):
    purchase, _created = record_purchase(store=store, data=order(), now=NOW)
    purchase.payments.update(**{field: 100})

    assert record_purchases(store=store, items=[order()], now=NOW)[0][1] is Recorded.UNCHANGED
    with pytest.raises(WrongState) as caught:
        record_purchase(store=store, data=order(country="FR"), now=NOW)

    assert "1042" in str(caught.value)
    assert Purchase.objects.get().country == "DE"


def test_a_line_that_was_used_cannot_be_taken_out_and_nothing_else_changes_either(store):
    purchase, _created = record_purchase(store=store, data=order(), now=NOW)
    record_access(line=purchase.lines.get(sku="EBOOK-1"), kind="downloaded", source_id="1", occurred_at=NOW)

    with pytest.raises(WrongState):
        record_purchase(store=store, data=order(lines=(COURSE,), country="FR"), now=NOW)

    assert Purchase.objects.get().country == "DE"
    assert PurchaseLine.objects.count() == 2


def test_two_stores_may_use_the_same_order_number(store):
    other = type(store).objects.create(slug="other", name="Other", timezone="UTC")
    record_purchase(store=store, data=order(), now=NOW)
    _purchase, created = record_purchase(store=other, data=order(payments=()), now=NOW)

    assert created


def test_a_payment_of_another_order_is_refused(store):
    record_purchase(store=store, data=order(), now=NOW)

    with pytest.raises(InvalidInput) as caught:
        record_purchase(store=store, data=order("1043", payments=(PAYMENT,)), now=NOW)

    assert caught.value.field == "payments.0.gateway_payment_id"
    assert "1042" in str(caught.value)
    assert Purchase.objects.count() == 1


def test_two_orders_of_one_call_cannot_share_a_payment(store):
    with pytest.raises(InvalidInput):
        record_purchases(store=store, items=[order("1", payments=(PAYMENT,)), order("2", payments=(PAYMENT,))], now=NOW)

    assert not Purchase.objects.exists()


def test_one_bad_order_of_several_leaves_none_behind(store):
    with pytest.raises(InvalidInput):
        record_purchases(store=store, items=[order("1"), order("2", country="Germany")], now=NOW)

    assert not Purchase.objects.exists()
    assert not Customer.objects.exists()


def test_recording_many_new_orders_takes_no_more_statements_than_recording_two(store, django_assert_num_queries):
    record_purchases(store=store, items=[order("known")], now=NOW)
    with django_assert_num_queries(9):
        record_purchases(store=store, items=[order(f"a{index}") for index in range(2)], now=NOW)
    with django_assert_num_queries(9):
        record_purchases(store=store, items=[order(f"b{index}") for index in range(20)], now=NOW)


def test_what_an_order_does_not_tell_about_a_customer_stays_known(store):
    record_purchase(store=store, data=order("1", locale="de"), now=NOW)
    record_purchase(store=store, data=order("2", customer_name=""), now=NOW)

    customer = Customer.objects.get()
    assert (customer.name, customer.locale) == ("Ada", "de")


def test_who_types_somebodys_address_does_not_rename_them(store):
    record_purchase(store=store, data=order("1", locale="de"), now=NOW)
    record_purchase(store=store, data=order("2", customer_name="Mallory", locale="fr"), now=NOW)

    customer = Customer.objects.get()
    assert (customer.name, customer.locale) == ("Ada", "de")


def test_a_number_alone_hands_no_order_to_another_buyer(store, caplog):
    record_purchase(store=store, data=order(), now=NOW)
    stranger = replace(PAYMENT, gateway_payment_id="pi_stranger")

    with pytest.raises(WrongState) as caught:
        record_purchase(store=store, data=order(email="mallory@example.com", payments=(stranger,)), now=NOW)
    with pytest.raises(WrongState):
        record_purchase(store=store, data=order(email="mallory@example.com", payments=()), now=NOW)

    purchase = Purchase.objects.get()
    assert (caught.value.field, purchase.customer.email, purchase.payments.get().gateway_payment_id) == (
        "number",
        "ada@example.com",
        "pi_1042",
    )
    assert "another customer" in caplog.text and "mallory" not in caplog.text


def test_a_user_is_linked_only_when_the_store_names_one(store):
    user = get_user_model().objects.create_user("ada", email="ada@example.com")
    guest, _created = record_purchase(store=store, data=order("1"), now=NOW)
    own, _created = record_purchase(store=store, data=order("2", user_id=str(user.pk)), now=NOW)

    guest.refresh_from_db()
    own.refresh_from_db()
    assert (guest.user, own.user) == (None, user)


def test_a_user_told_later_is_linked_even_after_money_has_moved_and_the_link_stays(store):
    user = get_user_model().objects.create_user("ada")
    purchase, _created = record_purchase(store=store, data=order(), now=NOW)
    purchase.payments.update(gone_minor=100)
    told = [
        record_purchases(store=store, items=[data], now=NOW)[0][1] for data in (order(user_id=user.pk), order(user_id=user.pk), order())
    ]

    purchase.refresh_from_db()
    assert (told, purchase.user) == ([Recorded.UPDATED, Recorded.UNCHANGED, Recorded.UNCHANGED], user)


def test_a_purchase_never_passes_to_another_user_and_nothing_else_changes_either(store):
    ada, mallory = (get_user_model().objects.create_user(name) for name in ("ada", "mallory"))
    record_purchase(store=store, data=order(user_id=ada.pk), now=NOW)

    with pytest.raises(WrongState) as caught:
        record_purchase(store=store, data=order(user_id=mallory.pk, country="FR", email="mallory@example.com"), now=NOW)

    purchase = Purchase.objects.get()
    assert caught.value.field == "user_id"
    assert (purchase.user, purchase.country, purchase.customer.email) == (ada, "DE", "ada@example.com")


def test_a_purchase_outlives_the_account_it_was_linked_to(store):
    user = get_user_model().objects.create_user("ada")
    record_purchase(store=store, data=order(user_id=user.pk), now=NOW)
    user.delete()

    assert Purchase.objects.get().user is None


@pytest.mark.parametrize("user_id", [987654321, "nobody"])
def test_an_unknown_user_is_refused(store, user_id):
    with pytest.raises(InvalidInput) as caught:
        record_purchase(store=store, data=order(user_id=user_id), now=NOW)

    assert caught.value.field == "user_id"


@pytest.mark.parametrize("payment", [PaymentData(gateway_payment_id="pi_1", captured_minor=1, account="moon")])
def test_an_unknown_gateway_account_is_named(store, payment):
    with pytest.raises(InvalidInput) as caught:
        record_purchase(store=store, data=order(payments=(payment,)), now=NOW)

    assert caught.value.field == "payments.0.account"
    assert "moon" in str(caught.value)


def test_a_live_payment_does_not_fit_a_test_account(store):
    with pytest.raises(InvalidInput) as caught:
        record_purchase(store=store, data=order(payments=(replace(PAYMENT, livemode=True),)), now=NOW)

    assert caught.value.field == "payments.0.livemode"


@pytest.mark.parametrize(
    ("changes", "field", "kind"),
    [
        ({"number": " # "}, "number", Required),
        ({"number": "1\x00"}, "number", InvalidInput),
        ({"number": "9" * 65}, "number", InvalidInput),
        ({"customer_name": "half \ud83d"}, "customer_name", InvalidInput),
        ({"email": "ada"}, "email", InvalidInput),
        ({"email": ""}, "email", Required),
        ({"currency": "XXX"}, "currency", UnknownCurrency),
        ({"country": "DEU"}, "country", InvalidInput),
        ({"buyer_kind": "alien"}, "buyer_kind", InvalidInput),
        ({"purchased_at": datetime(2026, 3, 1)}, "purchased_at", InvalidInput),  # noqa: DTZ001
        ({"purchased_at": NOW + timedelta(days=2)}, "purchased_at", InvalidInput),
        ({"lines": ()}, "lines", Required),
        ({"lines": (replace(EBOOK, quantity=0),)}, "lines.0.quantity", InvalidInput),
        ({"lines": (EBOOK, replace(EBOOK, paid_minor=-1))}, "lines.1.paid", InvalidInput),
        ({"lines": (replace(EBOOK, tax_minor=1821),)}, "lines.0.tax", InvalidInput),
        ({"lines": (replace(EBOOK, tax_rate_percent=Decimal("NaN")),)}, "lines.0.tax_rate_percent", InvalidInput),
        ({"lines": (replace(EBOOK, nature="goods"),)}, "lines.0.nature", InvalidInput),
        ({"lines": (replace(EBOOK, sku=" "),)}, "lines.0.sku", Required),
        ({"lines": (replace(EBOOK, term_start=BOUGHT),)}, "lines.0.term_end", Required),
        ({"lines": (replace(EBOOK, term_start=BOUGHT, term_end=BOUGHT),)}, "lines.0.term_end", InvalidInput),
        ({"lines": (replace(EBOOK, units_granted=0),)}, "lines.0.units_granted", InvalidInput),
        ({"payments": (PAYMENT, PAYMENT)}, "payments", InvalidInput),
        ({"payments": (replace(PAYMENT, gateway_payment_id=""),)}, "payments.0.gateway_payment_id", Required),
        ({"payments": (replace(PAYMENT, last4="42424"),)}, "payments.0.last4", InvalidInput),
    ],
)
def test_a_value_that_cannot_be_used_is_named(changes, field, kind):
    with pytest.raises(kind) as caught:
        check_purchase(order(**changes), now=NOW)

    assert caught.value.field == field
    assert str(caught.value)


@given(
    number=st.text(max_size=70),
    email=st.text(max_size=40),
    country=st.text(max_size=3),
    paid=st.integers(),
    tax=st.integers(),
    quantity=st.integers(),
    rate=st.decimals(),
)
def test_whatever_arrives_is_either_refused_kindly_or_can_be_stored(number, email, country, paid, tax, quantity, rate):
    line = replace(EBOOK, paid_minor=paid, tax_minor=tax, quantity=quantity, tax_rate_percent=rate)
    try:
        checked = check_purchase(order(number=number, email=email, country=country, lines=(line,)), now=NOW)
    except RefundPluginError as error:
        assert error.field
    else:
        assert 0 <= checked.lines[0].tax_minor <= checked.lines[0].paid_minor < 2**53
        assert 0 < len(checked.number) <= 64
        assert check_purchase(checked, now=NOW) == checked


def test_the_same_fact_of_use_told_twice_is_one_row(store):
    purchase, _created = record_purchase(store=store, data=order(), now=NOW)
    line = purchase.lines.first()
    for _time in range(2):
        record_access(line=line, kind="downloaded", source_id="log-7", occurred_at=NOW)

    assert AccessEvent.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": "smelled"}, "kind"),
        ({"kind": "viewed", "amount": 101}, "amount"),
        ({"kind": "consumed", "amount": 0}, "amount"),
        ({"source_id": ""}, "source_id"),
        ({"source_id": "taken"}, "source_id"),
        ({"occurred_at": NOW + timedelta(days=2)}, "occurred_at"),
    ],
)
def test_a_fact_of_use_that_cannot_be_true_is_refused(store, changes, field):
    purchase, _created = record_purchase(store=store, data=order(), now=NOW)
    line = purchase.lines.first()
    record_access(line=line, kind="activated", source_id="taken", occurred_at=NOW)

    with pytest.raises(InvalidInput) as caught:
        record_access(**{"line": line, "kind": "downloaded", "source_id": "new", "occurred_at": NOW, "now": NOW, **changes})

    assert caught.value.field == field
    assert AccessEvent.objects.count() == 1
