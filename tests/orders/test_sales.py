"""Sales of a gateway that keeps the order book become purchases, each once, whatever order and name they are told in."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connections
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from demo.sandbox.process import SandboxServer
from refund_plugin import clock
from refund_plugin.checks import check_order_books
from refund_plugin.errors import InvalidInput, NotFound
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.sales import Sale, SaleLine, SalePayment
from refund_plugin.gateways.services import default_account
from refund_plugin.money import Money
from refund_plugin.orders.data import Recorded
from refund_plugin.orders.models import Customer, Payment, Purchase
from refund_plugin.orders.sales import order_book_of, purchase_of, record_sale
from refund_plugin.orders.services import record_purchase
from refund_plugin.orders.validation import check_purchase
from refund_plugin.stores.models import Store
from refund_plugin.webhooks.apply import apply_waiting
from refund_plugin.webhooks.models import WebhookEvent
from tests.demo.receiver import Receiver
from tests.factories import make_purchase

SOLD = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
NOW = SOLD + timedelta(hours=1)


def sale_line(paid: int = 2380, tax: int = 380, **changes: Any) -> SaleLine:
    currency = changes.pop("currency", "EUR")
    line: dict[str, Any] = {"source_id": "li_1", "name": "E-book", "sku": "EBOOK-1", "quantity": 2, "tax_rate_percent": Decimal(19)}
    return SaleLine(**{**line, "paid": Money(paid, currency), "tax": Money(tax, currency), **changes})


def sale_payment(amount: int = 2380, name: str = "pi_1", **changes: Any) -> SalePayment:
    told: dict[str, Any] = {"is_captured": True, "method": "card", "brand": "visa", "last4": "4242", "paid_at": SOLD}
    return SalePayment(gateway_payment_id=name, captured=Money(amount, changes.pop("currency", "EUR")), **{**told, **changes})


def session_sale(**changes: Any) -> Sale:
    told: dict[str, Any] = {
        "source_id": "cs_1",
        "kind": "checkout_session",
        "number": "1042",
        "email": "ada@example.com",
        "name": "Ada Lovelace",
        "country": "DE",
        "currency": "EUR",
        "purchased_at": SOLD,
        "lines": (sale_line(),),
        "payments": (sale_payment(),),
    }
    return Sale(**{**told, **changes})


def invoice_sale(**changes: Any) -> Sale:
    told: dict[str, Any] = {"source_id": "in_1", "kind": "invoice", "number": "F-0001", "invoice_id": "in_1"}
    return session_sale(**{**told, **changes})


def renewal(month: int, **changes: Any) -> Sale:
    start = datetime(2026, month, 1, tzinfo=UTC)
    told: dict[str, Any] = {
        "source_id": f"in_{month}",
        "invoice_id": f"in_{month}",
        "number": f"F-000{month}",
        "subscription_id": "sub_1",
        "lines": (sale_line(quantity=1, term_start=start, term_end=datetime(2026, month + 1, 1, tzinfo=UTC)),),
        "payments": (sale_payment(name=f"pi_{month}"),),
    }
    return invoice_sale(**{**told, **changes})


@pytest.fixture
def account(store: Store) -> GatewayAccount:
    return default_account()


def keep(store: Store, account: GatewayAccount, sale: Sale) -> tuple[Purchase, Recorded]:
    recorded = record_sale(store=store, account=account, sale=sale, now=NOW)
    assert recorded is not None
    return recorded


def test_a_sale_is_a_purchase_with_everything_that_was_told(store: Store, account: GatewayAccount) -> None:
    line = sale_line(
        product_type="ebook", categories=("books", "learning"), tags=("drm-free",), nature="service", units_granted=6, unit_name="download"
    )
    payment = sale_payment(settlement=Money(2600, "USD"), fee=Money(105, "USD"))
    sale = session_sale(lines=(line,), payments=(payment,), locale="de", buyer_kind="business", metadata={"channel": "app"})

    purchase, recorded = keep(store, account, sale)

    assert recorded is Recorded.CREATED
    assert (purchase.number, purchase.currency, purchase.purchased_at) == ("1042", "EUR", SOLD)
    assert (purchase.buyer_kind, purchase.country, purchase.channel) == ("business", "DE", "app")
    assert (purchase.customer.email, purchase.customer.name, purchase.customer.locale) == ("ada@example.com", "Ada Lovelace", "de")
    kept = purchase.lines.get()
    assert (kept.sku, kept.name, kept.quantity, kept.paid_minor, kept.tax_minor, kept.tax_rate_percent) == (
        *("EBOOK-1", "E-book", 2, 2380, 380),
        Decimal(19),
    )
    assert (kept.product_type, kept.categories, kept.tags, kept.nature) == ("ebook", ["books", "learning"], ["drm-free"], "service")
    assert (kept.units_granted, kept.unit_name, kept.term_start) == (6, "download", None)
    paid = purchase.payments.get()
    assert (paid.gateway_payment_id, paid.account, paid.captured_minor, paid.is_captured) == ("pi_1", account, 2380, True)
    assert (paid.settlement_minor, paid.settlement_currency, paid.fee_minor) == (2600, "USD", 105)
    assert (paid.method, paid.brand, paid.last4, paid.captured_at) == ("card", "visa", "4242", SOLD)


def test_a_subscription_keeps_its_term_and_each_renewal_is_a_purchase_of_its_own(store: Store, account: GatewayAccount) -> None:
    first, _created = keep(store, account, renewal(3))
    second, _created = keep(store, account, renewal(4))

    assert [first.number, second.number] == ["F-0003", "F-0004"]
    assert first.lines.get().term_end == second.lines.get().term_start == datetime(2026, 4, 1, tzinfo=UTC)
    assert list(Payment.objects.order_by("pk").values_list("subscription_id", "invoice_id")) == [("sub_1", "in_3"), ("sub_1", "in_4")]


def test_money_that_is_only_authorised_is_not_taken_for_captured(store: Store, account: GatewayAccount) -> None:
    purchase, _created = keep(store, account, session_sale(payments=(sale_payment(is_captured=False),)))
    assert purchase.payments.get().is_captured is False

    keep(store, account, session_sale())
    assert purchase.payments.get().is_captured is True


def test_telling_a_sale_again_changes_nothing_and_what_is_new_is_kept(store: Store, account: GatewayAccount) -> None:
    purchase, _created = keep(store, account, session_sale())
    assert keep(store, account, session_sale()) == (purchase, Recorded.UNCHANGED)

    paid = sale_payment(settlement=Money(2600, "USD"), fee=Money(105, "USD"))  # is known only after some time
    assert keep(store, account, session_sale(payments=(paid,)))[1] is Recorded.UPDATED
    assert keep(store, account, session_sale())[1] is Recorded.UNCHANGED
    assert purchase.payments.get().fee_minor == 105
    assert Purchase.objects.count() == 1


TOLD_TWICE = [session_sale(invoice_id="in_1"), invoice_sale(), session_sale(invoice_id="in_1"), invoice_sale()]


@pytest.mark.parametrize("order", sorted(set(itertools.permutations((0, 1, 2, 3)))))
def test_a_session_and_the_invoice_it_made_are_one_purchase_in_any_order(
    store: Store, account: GatewayAccount, order: tuple[int, ...]
) -> None:
    for index in order:
        keep(store, account, TOLD_TWICE[index])

    purchase = Purchase.objects.get()
    assert (purchase.number, purchase.lines.get().paid_minor) == ("1042", 2380)
    assert purchase.payments.get().invoice_id == "in_1"


def test_a_purchase_that_the_shop_recorded_itself_stays_as_it_is(store: Store, account: GatewayAccount) -> None:
    ours = make_purchase(number="5000", purchased_at=SOLD)

    purchase, recorded = keep(store, account, session_sale(payments=(sale_payment(name="pi_5000_0"),)))

    assert (purchase, recorded) == (ours, Recorded.UNCHANGED)
    assert Purchase.objects.get().lines.get().sku == "EBOOK-1"


def test_two_sales_with_one_number_are_two_purchases(store: Store, account: GatewayAccount) -> None:
    """Shops may give the customer's id as the reference of every session."""
    first, _created = keep(store, account, session_sale())
    second, _created = keep(store, account, session_sale(source_id="cs_2", payments=(sale_payment(name="pi_2"),)))

    assert [first.number, second.number] == ["1042", "pi_2"]
    assert keep(store, account, session_sale(source_id="cs_2", payments=(sale_payment(name="pi_2"),))) == (second, Recorded.UNCHANGED)
    assert list(Payment.objects.order_by("pk").values_list("purchase", flat=True)) == [first.pk, second.pk]


@pytest.mark.django_db(transaction=True)
def test_sales_told_at_the_same_time_never_become_one(store: Store, account: GatewayAccount) -> None:
    names = [f"pi_{number}" for number in range(4)] * 2
    barrier, failures = Barrier(len(names)), []

    def tell(name: str) -> None:
        try:
            barrier.wait()
            keep(store, account, session_sale(source_id=f"cs_{name}", payments=(sale_payment(name=name),)))
        except Exception as error:  # noqa: BLE001
            failures.append(error)
        finally:
            connections.close_all()

    threads = [Thread(target=tell, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert sorted(Payment.objects.values_list("gateway_payment_id", flat=True)) == sorted(set(names))
    assert Purchase.objects.count() == 4


def test_a_number_that_is_too_long_gives_way_to_the_payments(store: Store, account: GatewayAccount) -> None:
    assert keep(store, account, session_sale(number="cs_live_" + "a" * 58))[0].number == "pi_1"


def test_what_was_free_is_no_purchase(store: Store, account: GatewayAccount) -> None:
    for payments in ((), (sale_payment(0),)):
        sale = session_sale(lines=(sale_line(0, 0),), payments=payments)
        assert record_sale(store=store, account=account, sale=sale, now=NOW) is None
    assert not Purchase.objects.exists()


def test_a_sale_without_an_address_is_refused_and_nothing_is_kept(store: Store, account: GatewayAccount) -> None:
    with pytest.raises(InvalidInput) as caught:
        keep(store, account, session_sale(email=""))
    assert caught.value.field == "email"
    assert not Purchase.objects.exists()
    assert not Customer.objects.exists()


def test_a_sale_whose_money_has_moved_is_history(store: Store, account: GatewayAccount) -> None:
    purchase, _created = keep(store, account, session_sale())
    purchase.payments.update(gone_minor=100)

    assert keep(store, account, session_sale(lines=(sale_line(name="Renamed"),)))[1] is Recorded.UNCHANGED
    assert purchase.lines.get().name == "E-book"


def test_texts_that_people_wrote_at_the_gateway_are_made_fit(store: Store, account: GatewayAccount) -> None:
    line = sale_line(name="A\nbook\x00 " + "x" * 400, units_granted=0, term_start=SOLD, term_end=SOLD)
    kept = keep(store, account, session_sale(lines=(line,)))[0].lines.get()
    assert kept.name.startswith("A book")
    assert (len(kept.name), kept.units_granted, kept.term_start) == (300, None, None)


@given(
    currency=st.sampled_from(["EUR", "JPY", "KWD", "ISK"]),
    lines=st.lists(st.tuples(st.integers(0, 10**9), st.floats(0, 1), st.integers(1, 50)), min_size=1, max_size=8),
)
def test_amounts_add_up_in_every_currency(currency: str, lines: list[tuple[int, float, int]]) -> None:
    total = sum(paid for paid, _share, _quantity in lines)
    sold = tuple(sale_line(paid, int(paid * share), quantity=quantity, currency=currency) for paid, share, quantity in lines)
    sale = session_sale(currency=currency, lines=sold, payments=(sale_payment(total, currency=currency),))

    data = check_purchase(purchase_of(sale, account=GatewayAccount(slug="main")), now=NOW)

    assert (data.currency, sum(line.paid_minor for line in data.lines)) == (currency, total)
    assert sum(line.tax_minor for line in data.lines) == sum(line.tax.minor for line in sold)
    assert [payment.captured_minor for payment in data.payments] == [total]


def test_an_account_is_an_order_book_only_when_the_settings_say_so(store: Store, account: GatewayAccount, settings: Any) -> None:
    other = Store.objects.create(slug="other", name="Other", timezone="UTC")
    told = dict(settings.REFUND_PLUGIN)
    assert order_book_of(account) is None
    for slug, expected in (("", store), (store.slug, store), ("other", other)):
        settings.REFUND_PLUGIN = {**told, "ORDER_BOOKS": {"main": slug}}
        assert order_book_of(account) == expected
    settings.REFUND_PLUGIN = {**told, "ORDER_BOOKS": {"main": "nowhere"}}
    with pytest.raises(NotFound, match="nowhere"):
        order_book_of(account)


def test_an_order_book_of_an_unknown_account_is_reported(settings: Any) -> None:
    settings.REFUND_PLUGIN = {"GATEWAYS": {"main": {"kind": "memory"}}, "ORDER_BOOKS": {"mian": ""}}
    assert [(found.id, "mian" in found.msg) for found in check_order_books(None)] == [("refund_plugin.E021", True)]


SALES = ("checkout.session.completed", "checkout.session.async_payment_succeeded", "invoice.paid")


class Door:
    """Brings what a sandbox sends to the door, as its web server would, and lets a worker apply it."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._brought = 0

    def bring(self, count: int, *, backwards: bool = False, after: timedelta = timedelta()) -> None:
        """Wait for `count` events about sales, in all, and deliver those that are new."""
        deliveries = self._receiver.wait_for(lambda event: event["type"] in SALES, count)[self._brought :]
        self._brought = count
        for delivery in reversed(deliveries) if backwards else deliveries:
            answer = Client().post(
                "/refunds/webhooks/stripe/default/",
                delivery.body,
                content_type="application/json",
                headers={"Stripe-Signature": delivery.signature},
            )
            assert answer.status_code == 200
        with clock.travel(after):
            apply_waiting()


@pytest.fixture
def door(sandbox: SandboxServer, settings: Any, transactional_db: None) -> Iterator[Door]:
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "ORDER_BOOKS": {"default": ""}}
    default_account()
    with Receiver() as receiver:
        sandbox.post("webhooks/endpoint", url=receiver.url, secret="whsec_tests")
        yield Door(receiver)


LESSONS = {
    "name": "Course",
    "amount": 4990,
    "metadata": {"sku": "COURSE-1", "product_type": "course", "units": "12", "unit_name": "lesson"},
}


def test_a_checkout_is_a_purchase_as_soon_as_stripe_tells_of_it(sandbox: SandboxServer, door: Door) -> None:
    sandbox.post(
        "sales",
        lines=[{**LESSONS, "tax_percent": 19}, {"name": "E-book", "amount": 1190, "quantity": 2, "metadata": {"categories": "books, art"}}],
        email="Eva@Example.com",
        country="FR",
        client_reference_id="1042",
        discount=490,
    )

    door.bring(1)

    purchase = Purchase.objects.get()
    assert (purchase.number, purchase.customer.email, purchase.country, purchase.store.slug) == ("1042", "eva@example.com", "FR", "default")
    course, book = purchase.lines.all()
    assert (course.sku, course.product_type, course.units_granted, course.unit_name) == ("COURSE-1", "course", 12, "lesson")
    assert (book.categories, book.quantity) == (["books", "art"], 2)
    payment = purchase.payments.get()
    assert course.paid_minor + book.paid_minor == payment.captured_minor == 4990 + 2380 - 490
    assert (payment.brand, payment.last4, payment.fee_minor is not None) == ("visa", "4242", True)
    assert WebhookEvent.objects.filter(event_type="checkout.session.completed").get().state == "done"


@pytest.mark.parametrize("backwards", [False, True])
def test_a_new_subscription_is_one_purchase_and_its_renewal_another(sandbox: SandboxServer, door: Door, backwards: bool) -> None:
    session = sandbox.post("sales", mode="subscription", lines=[{"name": "Plan", "amount": 3000}])
    door.bring(2, backwards=backwards)

    first = Purchase.objects.get()
    payment = first.payments.get()
    assert (payment.subscription_id, payment.invoice_id) == (session["subscription"], session["invoice"])
    line = first.lines.get()
    assert line.term_start is not None and line.term_end is not None
    assert timedelta(days=27) < line.term_end - line.term_start < timedelta(days=32)

    sandbox.post(f"subscriptions/{session['subscription']}/renew")
    door.bring(3, backwards=backwards, after=timedelta(days=32))

    second = Purchase.objects.exclude(pk=first.pk).get()
    assert second.lines.get().term_start == line.term_end
    assert second.payments.get().subscription_id == session["subscription"]


def test_a_payment_that_takes_days_makes_a_purchase_when_it_has_come(sandbox: SandboxServer, door: Door) -> None:
    session = sandbox.post("sales", lines=[LESSONS], later=True)
    door.bring(1)
    assert not Purchase.objects.exists()

    sandbox.post(f"checkout/sessions/{session['id']}/pay")
    door.bring(2)
    assert Purchase.objects.get().payments.get().captured_minor == 4990


def test_a_sale_that_cannot_be_read_is_read_later(sandbox: SandboxServer, door: Door) -> None:
    sandbox.post("sales", lines=[LESSONS])
    sandbox.post("faults", kind="status", status=503, times=1, method="GET", path="/v1/checkout/sessions")

    door.bring(1)
    assert not Purchase.objects.exists()
    event = WebhookEvent.objects.get(event_type="checkout.session.completed")
    assert (event.state, event.failures) == ("waiting", 1)

    with clock.travel(timedelta(minutes=1)):
        apply_waiting()
    assert Purchase.objects.count() == 1


def test_an_account_that_is_no_order_book_is_not_asked_what_was_sold(sandbox: SandboxServer, door: Door, settings: Any) -> None:
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "ORDER_BOOKS": {}}
    sandbox.post("sales", lines=[LESSONS])
    sandbox.post("counters/reset")

    door.bring(1)

    assert not Purchase.objects.exists()
    assert sandbox.get("counters")["requests"] == {}


def test_a_sale_whose_payment_was_imported_by_its_charge_is_no_second_purchase(store: Store, account: GatewayAccount) -> None:
    imported = purchase_of(session_sale(number="I-1", payments=(sale_payment(name="ch_1"),)), account=account)
    record_purchase(store=store, data=imported, now=NOW)

    purchase, recorded = keep(store, account, session_sale(payments=(sale_payment(name="pi_1", charge_id="ch_1"),)))

    assert (purchase.number, recorded) == ("I-1", Recorded.UNCHANGED)
    assert Purchase.objects.count() == 1
