"""Vouchers and gift cards besides refunds: given once, within the limits, and told only when the store has issued them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core import mail

from refund_plugin import clock
from refund_plugin.actor import Action, Actor, ActorKind, customer_actor
from refund_plugin.errors import InvalidInput, NotAllowed, NotFound, Required, WrongState
from refund_plugin.events.models import Event
from refund_plugin.events.services import deliver_due
from refund_plugin.money import Money
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds.incentives.models import Incentive, IncentiveState
from refund_plugin.refunds.incentives.services import FAILURES_FOR_ALERT, cancel_incentive, give_incentive, issue_due, issue_now
from refund_plugin.refunds.models import Alert
from refund_plugin.refunds.queries import case
from refund_plugin.refunds.timeline import timeline
from refund_plugin.refunds.tracking import tracking_url
from refund_plugin.stores import registry
from refund_plugin.stores.base import CreditKind, StoreRefused, StoreUnavailable
from tests.factories import NOW, make_purchase
from tests.issuing_store import IssuingStore
from tests.refunds.helpers import CLERK, ask

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("policy")]

TEN = Money(1000, "EUR")


@pytest.fixture
def shop(monkeypatch):
    made = IssuingStore()
    monkeypatch.setitem(registry._adapters, "local", made)
    return made


@pytest.fixture
def request_of_ada(shop):
    return ask(make_purchase())


def give(request, worth=TEN, key="one", **changes):
    values = {"days": 90, "reason": "She waited long.", "message": "Sorry for the wait!", "by": CLERK, "now": clock.now()}
    return give_incentive(request_id=request.pk, worth=worth, submission_key=key, **{**values, **changes})


def later():
    """Move the database's clock past any wait."""
    return clock.travel(timedelta(hours=2))


def test_the_store_issues_it_and_the_customer_reads_the_code_in_the_mail(request_of_ada, shop):
    deliver_due()
    mail.outbox.clear()
    given = issue_now(incentive_id=give(request_of_ada).pk, now=clock.now())
    (told,) = shop.issued
    assert (told.code, told.worth, told.name, told.kind) == (given.code, TEN, request_of_ada.reference, CreditKind.VOUCHER)
    assert given.state == IncentiveState.ISSUED and given.due_at is None
    deliver_due()
    (letter,) = mail.outbox
    assert "a voucher of €10.00" in letter.subject
    assert given.code in letter.body and "Sorry for the wait!" in letter.body and "She waited long." not in letter.body


def test_percent_stands_in_subject_and_page_as_it_is(request_of_ada):
    issue_now(incentive_id=give(request_of_ada, worth=20).pk, now=clock.now())
    mail.outbox.clear()
    deliver_due()
    assert any("a voucher of 20%" in letter.subject for letter in mail.outbox)


def test_a_double_click_gives_once(request_of_ada, shop):
    first, second = give(request_of_ada), give(request_of_ada)
    issue_due(clock.now())
    issue_due(clock.now())
    assert first.pk == second.pk and len(shop.issued) == 1


def test_a_code_is_told_to_nobody_before_the_store_has_confirmed_it(request_of_ada, shop):
    shop.fails.append(StoreUnavailable("no answer"))
    deliver_due()
    mail.outbox.clear()
    waiting = issue_now(incentive_id=give(request_of_ada).pk, now=clock.now())
    assert (waiting.state, waiting.last_error) == (IncentiveState.WAITING, "no answer")
    deliver_due()
    assert not mail.outbox
    assert not [step for step in timeline(case(request_of_ada.pk)).steps if step.code.startswith("incentive")]
    assert [step.detail for step in timeline(case(request_of_ada.pk), for_staff=True).steps if step.code == "incentive_waiting"] == [
        "no answer"
    ]


@pytest.mark.parametrize("kind", [StoreRefused, StoreUnavailable])
def test_a_store_that_repeats_the_code_in_its_complaint_tells_it_to_nobody(request_of_ada, shop, caplog, kind):
    given = give(request_of_ada)
    shop.fails.append(kind(f'Variable "$input" got invalid value {{"addCodes": ["{given.code}"]}}.'))
    waiting = issue_now(incentive_id=given.pk, now=clock.now())
    assert "got invalid value" in waiting.last_error and given.code not in waiting.last_error
    assert given.code not in str(list(Alert.objects.values())) + str(timeline(case(request_of_ada.pk), for_staff=True)) + caplog.text


def test_what_got_no_answer_is_asked_for_again_with_the_same_code(request_of_ada, shop):
    shop.fails.append(StoreUnavailable("no answer"))
    code = give(request_of_ada).code
    issue_due(clock.now())
    assert issue_due(clock.now()) == 0  # it waits its turn
    with later():
        assert issue_due(clock.now()) == 1
    assert [told.code for told in shop.issued] == [code]
    assert Incentive.objects.get().state == IncentiveState.ISSUED


def test_an_adapter_that_breaks_delays_its_own_only(request_of_ada, shop):
    shop.fails.append(ZeroDivisionError("oops"))
    give(request_of_ada), give(request_of_ada, key="two")
    issue_due(clock.now())
    assert sorted(Incentive.objects.values_list("state", flat=True)) == ["issued", "waiting"]


def test_while_one_worker_asks_no_other_does(request_of_ada, shop, monkeypatch):
    given, asked = give(request_of_ada), []

    def answer_slowly(told):
        asked.append(told.code)
        if len(asked) == 1:
            issue_now(incentive_id=given.pk, now=clock.now())

    monkeypatch.setattr(shop, "issue_credit", answer_slowly)
    issue_due(clock.now())
    assert asked == [given.code]


def test_what_a_worker_left_behind_is_asked_for_after_its_lease(request_of_ada, shop):
    shop.fails.append(KeyboardInterrupt())  # the process ends in the middle of the call
    give(request_of_ada)
    with pytest.raises(KeyboardInterrupt):
        issue_due(clock.now())
    assert issue_due(clock.now()) == 0
    with later():
        assert issue_due(clock.now()) == 1
    assert len(shop.issued) == 1


def test_a_store_that_refuses_raises_one_alert(request_of_ada, shop):
    shop.fails += [StoreRefused("no permission"), StoreRefused("no permission")]
    give(request_of_ada)
    issue_due(clock.now())
    with later():
        issue_due(clock.now())
    alert = Alert.objects.get(kind="incentive_stuck")
    assert "no permission" in alert.why and request_of_ada.reference in alert.why


def test_a_store_that_stays_silent_raises_an_alert_after_a_while(request_of_ada, shop):
    shop.fails += [StoreUnavailable()] * FAILURES_FOR_ALERT
    give(request_of_ada)
    for hour in range(FAILURES_FOR_ALERT):
        assert not Alert.objects.filter(kind="incentive_stuck").exists()
        with clock.travel(timedelta(hours=2 * hour)):
            assert issue_due(clock.now()) == 1
    assert Alert.objects.filter(kind="incentive_stuck").count() == 1


def test_what_is_taken_back_before_it_was_issued_is_never_told(request_of_ada, shop):
    given = give(request_of_ada)
    canceled = cancel_incentive(incentive_id=given.pk, by=CLERK, now=clock.now())
    assert canceled.state == IncentiveState.CANCELED
    with later():
        assert issue_due(clock.now()) == 0
    assert not shop.issued
    assert Event.objects.filter(kind="incentive_canceled").exists() and not Event.objects.filter(kind="incentive_issued").exists()


def test_an_answer_that_comes_after_it_was_taken_back_tells_nobody(request_of_ada, shop, monkeypatch):
    given = give(request_of_ada)
    monkeypatch.setattr(shop, "issue_credit", lambda told: cancel_incentive(incentive_id=given.pk, by=CLERK, now=clock.now()))
    issue_due(clock.now())
    assert Incentive.objects.get().state == IncentiveState.CANCELED
    assert not Event.objects.filter(kind="incentive_issued").exists()


def test_what_the_customer_has_cannot_be_taken_back(request_of_ada):
    given = issue_now(incentive_id=give(request_of_ada).pk, now=clock.now())
    with pytest.raises(WrongState):
        cancel_incentive(incentive_id=given.pk, by=CLERK, now=clock.now())
    assert Incentive.objects.get().state == IncentiveState.ISSUED


def test_money_that_is_owed_is_not_touched(request_of_ada):
    before = list(request_of_ada.refunds.values_list("state", "amount_minor"))
    issue_now(incentive_id=give(request_of_ada).pk, now=clock.now())
    assert list(request_of_ada.refunds.values_list("state", "amount_minor")) == before


@pytest.mark.parametrize(
    ("worth", "kind"),
    [
        (Money(0, "EUR"), CreditKind.VOUCHER),
        (Money(5001, "EUR"), CreditKind.VOUCHER),
        (Money(1000, "USD"), CreditKind.VOUCHER),
        (0, CreditKind.VOUCHER),
        (26, CreditKind.VOUCHER),
        (-5, CreditKind.VOUCHER),
        (10, CreditKind.GIFT_CARD),
    ],
)
def test_a_worth_beyond_the_limits_gives_nothing(request_of_ada, shop, worth, kind):
    shop.kind = kind
    with pytest.raises(InvalidInput) as refused:
        give(request_of_ada, worth=worth)
    assert refused.value.field == "worth" and not Incentive.objects.exists()


def test_what_the_settings_allow_is_given_to_the_last_unit(request_of_ada, settings):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "INCENTIVES": {"amount": {"EUR": 700}, "percent": 40, "per_customer": 9}}
    give(request_of_ada, worth=Money(700, "EUR")), give(request_of_ada, worth=40, key="two")
    for worth in (Money(701, "EUR"), 41):
        with pytest.raises(InvalidInput):
            give(request_of_ada, worth=worth, key="three")
    assert Incentive.objects.count() == 2


def test_one_customer_is_given_only_so_many_in_thirty_days_whatever_they_asked_for(request_of_ada):
    second = ask(make_purchase(number="P-2"))
    assert second.customer_id == request_of_ada.customer_id
    give(request_of_ada), give(second, key="two")
    canceled = give(second, key="three")
    with pytest.raises(NotAllowed, match="3 within 30 days"):
        give(second, key="four")
    cancel_incentive(incentive_id=canceled.pk, by=CLERK, now=clock.now())
    give(second, key="four")
    give(second, key="five", now=clock.now() + timedelta(days=31))
    assert Incentive.objects.exclude(state="canceled").count() == 4


@pytest.mark.parametrize("days", [1, 731])
def test_a_term_that_cannot_be_gives_nothing(request_of_ada, days):
    with pytest.raises(InvalidInput) as refused:
        give(request_of_ada, days=days)
    assert refused.value.field == "days" and not Incentive.objects.exists()


def test_a_reason_is_required(request_of_ada):
    with pytest.raises(Required):
        give(request_of_ada, reason=" ")
    assert not Incentive.objects.exists()


def test_a_store_that_issues_nothing_gives_nothing(request_of_ada, shop):
    shop.kind = None
    with pytest.raises(WrongState):
        give(request_of_ada)
    assert not Incentive.objects.exists()


def actors(request):
    """Who may not give: without the permission, of another store, the customer."""
    staff = {"kind": ActorKind.STAFF, "id": "x"}
    yield Actor(**staff, actions=frozenset(Action) - {Action.GIVE_INCENTIVE}), NotAllowed
    yield Actor(**staff, actions=frozenset(Action), store_id=request.store_id + 1), NotFound
    yield Actor(**staff, actions=frozenset(Action), email=request.customer.email), NotAllowed
    yield Actor(**staff, actions=frozenset(Action), limit_minor={"EUR": 999}), NotAllowed
    yield customer_actor(customer_id=request.customer_id, store_id=request.store_id), NotAllowed


def test_who_may_not_gives_nothing_and_takes_nothing_back(request_of_ada):
    given = give(request_of_ada)
    for by, error in actors(request_of_ada):
        with pytest.raises(error):
            give(request_of_ada, by=by, key="two")
        if not by.limit_minor:
            with pytest.raises(error):
                cancel_incentive(incentive_id=given.pk, by=by, now=clock.now())
    assert Incentive.objects.get().state == IncentiveState.WAITING


def test_codes_are_of_sixty_bits_and_never_the_same(request_of_ada):
    codes = {give(request_of_ada, key=key, now=clock.now() + timedelta(days=31 * place)).code for place, key in enumerate("abc")}
    assert len(codes) == 3 and all(re.fullmatch("[A-Z2-7]{4}(-[A-Z2-7]{4}){2}", code) for code in codes)


def test_the_events_do_not_carry_the_code(request_of_ada):
    given = issue_now(incentive_id=give(request_of_ada).pk, now=clock.now())
    assert all(given.code not in str(event.payload) for event in Event.objects.all())


def test_the_tracking_page_shows_the_whole_code_to_the_buyer_who_is_signed_in_alone(request_of_ada, client, django_user_model):
    given = issue_now(incentive_id=give(request_of_ada).pk, now=clock.now())
    ada, clerk = (django_user_model.objects.create_user(name, f"{name}@example.com", "secret") for name in ("ada", "clerk"))
    Purchase.objects.filter(pk=request_of_ada.purchase_id).update(user=ada)
    url = tracking_url(request_of_ada)
    for somebody in (None, clerk, ada):
        if somebody:
            client.force_login(somebody)
        pages = [client.get(url).content.decode(), client.get(url + "status/").content.decode()]
        for page in pages:
            assert "For you: a voucher of €10.00" in page and "Sorry for the wait!" in page and given.code[-4:] in page
            assert (given.code in page) is (somebody == ada)


def test_it_is_good_until_the_end_of_the_stores_day(request_of_ada):
    zone = ZoneInfo(request_of_ada.store.timezone)
    given = give(request_of_ada, days=2, now=datetime(2026, 3, 27, 22, 30, tzinfo=zone))  # the clocks go forward in the night after
    assert given.ends_at.astimezone(zone) == datetime(2026, 3, 29, 23, 59, 59, tzinfo=zone)


def test_it_stands_in_the_timeline_where_it_happened(request_of_ada):
    issue_now(incentive_id=give(request_of_ada, now=NOW).pk, now=NOW)
    steps = timeline(case(request_of_ada.pk)).steps
    assert [step.code for step in steps] == ["asked", "approved", "incentive", "sending", "finished"]
