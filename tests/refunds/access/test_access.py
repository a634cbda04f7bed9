"""Access follows the money: frozen, revoked, given back; told again until confirmed; never in the money's way."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from django.db import connection
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from refund_plugin import clock, duties
from refund_plugin.errors import AlreadyRefunded, ExceedsBalance, QuantityTooHigh, WrongState
from refund_plugin.events.models import Event
from refund_plugin.events.services import deliver_due
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.refunds.access import services
from refund_plugin.refunds.access.models import AccessState
from refund_plugin.refunds.access.queries import access_notes
from refund_plugin.refunds.access.services import FAILURES_FOR_ALERT, on_event, refresh_lines, tell_stores
from refund_plugin.refunds.models import Alert, Refund
from refund_plugin.refunds.outcomes import record_answer
from refund_plugin.refunds.retry import give_up_refund, retry_refund
from refund_plugin.refunds.services import cancel_request
from refund_plugin.refunds.states import RefundState
from refund_plugin.stores.base import LineAccess, StoreUnavailable
from refund_plugin.stores.registry import register_store_adapter
from tests.factories import EBOOK, LICENCE, MEMORY, NOW, make_purchase
from tests.refunds.helpers import CLERK, ask, only_refund

pytestmark = pytest.mark.django_db


class Shop:
    """A host's own code: remembers the last thing it was told about each line, and fails when it should."""

    def __init__(self) -> None:
        self.lines: dict[int, LineAccess] = {}
        self.calls = 0
        self.error: Exception | None = None

    def set_access(self, access: LineAccess) -> None:
        self.calls += 1
        assert not connection.in_atomic_block or connection.savepoint_ids == [], "called inside a transaction of ours"
        if self.error is not None:
            raise self.error
        self.lines[access.line_id] = access

    def locked(self, line) -> tuple[int, int]:
        """(frozen, revoked) of a line, as the shop was last told."""
        access = self.lines.get(line.pk)
        return (0, 0) if access is None else (access.frozen, access.revoked)


_shop = Shop()


def handler(access: LineAccess) -> None:
    _shop.set_access(access)


@pytest.fixture
def shop(policy, settings):
    """The host's function, called through the setting."""
    global _shop
    _shop = Shop()
    settings.REFUND_PLUGIN = {**MEMORY, "ACCESS_HANDLER": "tests.refunds.access.test_access.handler"}
    return _shop


def told(refund: Refund, kind: AnswerKind) -> None:
    answer = GatewayAnswer(kind=kind, gateway_refund_id=f"re_{refund.pk.hex}", amount=refund.amount)
    record_answer(refund_id=refund.pk, answer=answer, now=NOW)


def deliver() -> None:
    while deliver_due():
        pass


def test_it_is_frozen_when_the_money_is_reserved_and_revoked_when_it_has_gone(shop):
    purchase = make_purchase()
    line = purchase.lines.get()
    refund = only_refund(ask(purchase))
    deliver()
    assert shop.locked(line) == (1, 0)
    told(refund, AnswerKind.PENDING)
    deliver()
    assert shop.locked(line) == (1, 0)
    told(refund, AnswerKind.SUCCEEDED)
    deliver()
    assert shop.locked(line) == (0, 1)
    told_line = shop.lines[line.pk]
    assert (told_line.purchase_number, told_line.sku, told_line.quantity, told_line.usable) == (purchase.number, "EBOOK-1", 1, 0)


def test_it_is_taken_away_by_the_unit(shop):
    purchase = make_purchase(lines=[LICENCE])
    line = purchase.lines.get()
    told(only_refund(ask(purchase, {line: 1})), AnswerKind.SUCCEEDED)
    ask(purchase, {line: 1})
    deliver()
    assert shop.locked(line) == (1, 1)
    assert shop.lines[line.pk].usable == 1


def test_it_comes_back_when_the_request_is_taken_back(shop):
    purchase = make_purchase()
    request = ask(purchase)
    deliver()
    cancel_request(request_id=request.pk, by=CLERK, now=NOW)
    deliver()
    assert shop.locked(purchase.lines.get()) == (0, 0)


def test_a_refund_that_failed_keeps_it_frozen_until_the_debt_is_given_up(shop):
    purchase = make_purchase()
    refund = only_refund(ask(purchase))
    told(refund, AnswerKind.FAILED)
    deliver()
    assert shop.locked(purchase.lines.get()) == (1, 0)
    give_up_refund(refund_id=refund.pk, by=CLERK, reason="paid in cash", now=NOW)
    deliver()
    assert shop.locked(purchase.lines.get()) == (0, 0)


@pytest.fixture
def returned(shop):
    """A refund that the bank returned after it had succeeded."""
    refund = only_refund(ask(make_purchase()))
    told(refund, AnswerKind.SUCCEEDED)
    deliver()
    told(refund, AnswerKind.FAILED)
    deliver()
    return refund


def test_money_that_the_bank_returned_does_not_give_it_back_while_it_is_owed(shop, returned):
    line = returned.allocations.get().line
    assert shop.locked(line) == (0, 1)
    successor = retry_refund(refund_id=returned.pk, by=CLERK, reason="another card", now=NOW)
    deliver()
    assert shop.locked(line) == (0, 1), "what was revoked is not thawed on the way"
    told(successor, AnswerKind.FAILED)
    deliver()
    assert shop.locked(line) == (0, 1)
    give_up_refund(refund_id=successor.pk, by=CLERK, reason="not wanted", now=NOW)
    deliver()
    assert shop.locked(line) == (0, 0)


def test_it_does_not_come_back_beside_a_newer_purchase_of_the_same_thing(shop, returned):
    make_purchase(purchased_at=NOW)
    give_up_refund(refund_id=returned.pk, by=CLERK, reason="bought again", now=NOW)
    deliver()
    assert shop.locked(returned.allocations.get().line) == (0, 1)


def test_another_customers_purchase_of_the_same_thing_does_not_matter(shop, returned):
    make_purchase(purchased_at=NOW, email="somebody@else.example")
    give_up_refund(refund_id=returned.pk, by=CLERK, reason="not wanted", now=NOW)
    deliver()
    assert shop.locked(returned.allocations.get().line) == (0, 0)


def test_a_shop_that_fails_delays_itself_only_and_is_told_again(shop):
    shop.error = StoreUnavailable("the library is closed")
    purchase = make_purchase()
    refund = only_refund(ask(purchase))
    told(refund, AnswerKind.SUCCEEDED)
    deliver()
    refund.refresh_from_db()
    assert refund.state == RefundState.SUCCEEDED
    state = AccessState.objects.get()
    assert (state.done_revoked, state.last_error) == (0, "the library is closed")
    assert [(note.text, note.confirmed, note.error) for note in access_notes([state.line_id])] == [
        ("revoked", False, "the library is closed")
    ]
    shop.error = None
    assert tell_stores(NOW) == 0, "not before its pause is over"
    with clock.travel(timedelta(seconds=30)):
        assert tell_stores(NOW) == 1
    assert shop.locked(state.line) == (0, 1)
    assert access_notes([state.line_id])[0].confirmed


def test_whatever_a_hosts_function_raises_counts_as_not_confirmed(shop):
    shop.error = KeyError("no such copy")
    purchase = make_purchase()
    ask(purchase)
    deliver()
    assert AccessState.objects.get().last_error == "KeyError: 'no such copy'"


def test_staff_are_alerted_once_when_a_shop_does_not_confirm(shop):
    shop.error = StoreUnavailable("closed")
    ask(make_purchase())
    deliver()
    pause = timedelta()
    for _attempt in range(FAILURES_FOR_ALERT + 1):
        pause += timedelta(hours=1)
        with clock.travel(pause):
            tell_stores(NOW)
    assert Alert.objects.get(kind="access_stuck").why.endswith("does not confirm a change of access: closed")


def test_what_changed_while_the_shop_was_told_is_told_next(shop, monkeypatch):
    purchase = make_purchase()
    request = ask(purchase)
    line = purchase.lines.get()
    tell = shop.set_access

    def slow(access):
        tell(access)
        if access.version == 1:
            told(only_refund(request), AnswerKind.SUCCEEDED)
            refresh_lines(line_ids=[line.pk], now=NOW)

    monkeypatch.setattr(shop, "set_access", slow)
    deliver()
    assert shop.locked(line) == (0, 1)
    assert AccessState.objects.get().due_at is None


def test_while_one_worker_tells_the_shop_no_other_does(shop, monkeypatch):
    ask(make_purchase())
    inner = []
    tell = shop.set_access

    def slow(access):
        inner.append(tell_stores(NOW))
        tell(access)

    monkeypatch.setattr(shop, "set_access", slow)
    deliver()
    assert (inner, shop.calls) == ([0], 1)


def test_a_worker_that_lost_its_lease_writes_nothing(shop, monkeypatch):
    ask(make_purchase())
    tell = shop.set_access

    def very_slow(access):
        monkeypatch.setattr(shop, "set_access", tell)
        with clock.travel(timedelta(seconds=services.LEASE_SECONDS + 1)):
            assert tell_stores(NOW) == 1
        raise StoreUnavailable("woke up late")

    monkeypatch.setattr(shop, "set_access", very_slow)
    deliver()
    state = AccessState.objects.get()
    assert (state.due_at, state.last_error, state.done_frozen) == (None, "", 1)


def test_without_a_function_nothing_claims_to_be_locked(policy):
    ask(make_purchase())
    deliver()
    assert not AccessState.objects.exists()


def test_a_store_of_another_kind_is_told_through_its_own_adapter(shop):
    class Elsewhere(Shop):
        def keeps_access(self):
            return True

    elsewhere = Elsewhere()
    register_store_adapter("elsewhere", elsewhere)
    purchase = make_purchase()
    purchase.store.adapter = "elsewhere"
    purchase.store.save()
    ask(purchase)
    deliver()
    assert elsewhere.locked(purchase.lines.get()) == (1, 0)
    assert shop.calls == 0


def test_an_adapter_that_is_broken_delays_only_its_own_line(shop):
    class Broken:
        def keeps_access(self):
            return True

        def set_access(self, access):
            if access.sku == "EBOOK-1":
                raise ZeroDivisionError("a fault of the adapter")

    register_store_adapter("broken", Broken())
    purchase = make_purchase(lines=[EBOOK, LICENCE])
    purchase.store.adapter = "broken"
    purchase.store.save()
    ask(purchase)
    deliver()
    notes = access_notes(list(purchase.lines.values_list("pk", flat=True)))
    assert [(note.text, note.confirmed) for note in notes] == [("frozen", False), ("3 of 3 frozen", True)]


def test_the_sweep_tells_what_is_due():
    assert "access" in {duty.name for duty in duties.duties()}


_orders = itertools.count()


@hypothesis_settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    steps=st.lists(st.tuples(st.sampled_from(["succeeded", "failed", "retry", "give_up", "cancel", "ask"]), st.integers(0, 5)), max_size=8),
    random=st.randoms(use_true_random=False),
)
def test_in_whatever_order_the_events_come_the_shop_ends_with_what_the_refunds_say(shop, steps, random):
    """The same history told event by event, and in any order only at its end, locks the same units."""
    purchase = make_purchase(lines=[LICENCE, EBOOK], email=f"order{next(_orders)}@example.com")
    licences = purchase.lines.first()
    requests, refunds = [ask(purchase, {licences: 1})], []
    for what, number in steps:
        refunds += Refund.objects.filter(payment__purchase=purchase).exclude(pk__in=[refund.pk for refund in refunds])
        refund = refunds[number % len(refunds)]
        try:
            if what in ("succeeded", "failed"):
                told(refund, AnswerKind(what))
            elif what == "retry":
                retry_refund(refund_id=refund.pk, by=CLERK, reason="again", now=NOW)
            elif what == "give_up":
                give_up_refund(refund_id=refund.pk, by=CLERK, reason="no", now=NOW)
            elif what == "cancel":
                cancel_request(request_id=requests[number % len(requests)].pk, by=CLERK, now=NOW)
            else:
                licences.refresh_from_db()
                requests.append(ask(purchase, {licences: 1}))
        except (WrongState, ExceedsBalance, AlreadyRefunded, QuantityTooHigh):
            continue
    events = list(Event.objects.filter(case__in=[request.pk for request in requests], kind__in=services.KINDS))
    random.shuffle(events)
    for event in [*events, *events]:
        on_event(event)
    parts = licences.allocations.select_related("refund")
    open_units = sum(
        part.counted_quantity if part.refund.state in ("reserved", "succeeded") else part.quantity * part.refund.owed for part in parts
    )
    gone_units = sum(part.counted_quantity for part in parts if part.refund.state == "succeeded")
    frozen, revoked = shop.locked(licences)
    assert frozen + revoked == min(3, open_units)
    assert revoked >= min(gone_units, 3)
