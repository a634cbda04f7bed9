"""The page "Automatic refunds", its pause, and what other pages tell of both."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse

from refund_plugin import clock
from refund_plugin.actor import SYSTEM
from refund_plugin.refunds.brake.models import AutomaticMode, AutomaticMoney
from refund_plugin.refunds.brake.queries import pauses
from refund_plugin.refunds.brake.services import brake_of, pause_automatic, set_automatic
from refund_plugin.refunds.brake.windows import Ceiling, Per
from refund_plugin.refunds.models import Decision, Refund, RefundRequest
from refund_plugin.refunds.states import RequestState
from refund_plugin.stores.models import Store
from refund_plugin.stores.services import ensure_default_store
from tests.factories import SALE, publish_policy
from tests.staff.helpers import do

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("gateway")]

PAGE = "refund_automatic:index"
EVERYTHING = ("view_cases", "approve_refunds", "decline_refunds", "ask_evidence", "manage_brake")


@pytest.fixture
def store(gateway):
    return ensure_default_store()


@pytest.fixture
def manager(make_user, sign_in):
    """The browser of someone who may set and pause."""
    return sign_in(make_user("mira", EVERYTHING))


@pytest.fixture
def generous(policy):
    """A policy that approves everything."""
    publish_policy(now=clock.now() - timedelta(days=300))


def pause(store, *, why="The new clause is wrong."):
    now = clock.now()
    return pause_automatic(store=store, until=now + timedelta(hours=4), by=SYSTEM, why=why, now=now)


def save(client, **data):
    """Send the page's form."""
    return client.post(reverse(PAGE), {"mode": "automatic", "products": "1", **data}, follow=True)


def test_the_dial_limits_and_ceilings_are_saved_and_shown_again(manager, store, generous, make_case):
    make_case()
    products = {"product0-sku": "EBOOK-1", "product0-currency": "EUR", "product0-day": "36.40"}
    html = save(manager, mode="suggest", limit_EUR="50", hour_EUR="200.5", **products).content.decode()

    row = AutomaticMoney.objects.get(store=store)
    assert (row.mode, row.limit_minor) == (AutomaticMode.SUGGEST, {"EUR": 5000})
    assert [Ceiling.from_json(stored) for stored in row.ceilings] == [
        Ceiling("EUR", Per.HOUR, 20_050),
        Ceiling("EUR", Per.DAY, 3640, "EBOOK-1"),
    ]
    assert "Saved." in html and 'value="200.50"' in html and 'value="EBOOK-1"' in html
    assert "Any hour, EUR: not set → €200.50" in html and "Automatic → Suggest" in html
    assert "Mira" in html or "mira" in html


def test_an_empty_field_goes_back_to_the_default_and_an_emptied_sku_removes_its_row(manager, store, generous, make_case):
    make_case()
    save(manager, hour_EUR="10", **{"product0-sku": "EBOOK-1", "product0-currency": "EUR", "product0-hour": "5"})
    save(manager, products="2", hour_EUR="", **{"product0-sku": "", "product0-currency": "EUR"})
    assert AutomaticMoney.objects.get(store=store).ceilings == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "always"},
        {"hour_EUR": "-1"},
        {"hour_EUR": "1.005"},
        {"product0-sku": "EBOOK-1", "product0-currency": "EUR", "product0-hour": "0.001"},
        {"product0-sku": "EBOOK-1", "product0-currency": "EUR"},
        {"product0-currency": "EUR", "product0-hour": "5"},
        {"product0-sku": "EBOOK-1", "product0-currency": "XXX", "product0-hour": "5"},
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_shown_again_and_nothing_is_saved(manager, store, generous, make_case, wrong):
    make_case()
    before = AutomaticMoney.objects.get(store=store).revision
    assert "Nothing was saved yet" in save(manager, **wrong).content.decode()
    assert AutomaticMoney.objects.get(store=store).revision == before


def test_the_meter_tells_what_was_approved_in_the_window(manager, store, generous, make_case):
    set_automatic(store=store, mode="automatic", limit_minor={}, ceilings=[Ceiling("EUR", Per.HOUR, 2000)], by=SYSTEM, now=clock.now())
    make_case(), make_case()
    html = manager.get(reverse(PAGE)).content.decode()
    assert "€18.20 of €20.00 approved in the last hour" in html
    assert "€18.20 of €5,000.00 approved in the last day" in html
    assert "€18.20 of €20.00 are approved within the hour" in html
    assert "1 request waits for a person only because of what is set here." in html


def test_a_pause_is_made_with_a_reason_and_all_staff_see_who_why_and_until(manager, store, make_user, sign_in):
    refused = manager.post(reverse("refund_automatic:pause"), {"hours": "4", "why": ""})
    assert refused.status_code == 200 and pauses(clock.now()) == []

    manager.post(reverse("refund_automatic:pause"), {"hours": "4", "why": "<b>Wrong</b> clause"})

    (row,) = pauses(clock.now())
    assert timedelta(hours=3, minutes=59) < row.paused_until - clock.now() <= timedelta(hours=4)
    looking = sign_in(make_user("lena", ["view_cases"]))
    for url in (reverse("refund_cases:index"), reverse("wagtailadmin_home"), reverse(PAGE)):
        html = looking.get(url).content.decode()
        assert "aused until" in html and "&lt;b&gt;Wrong&lt;/b&gt; clause" in html and "mira" in html
        assert reverse("refund_automatic:resume") not in html
    assert reverse("refund_automatic:resume") in manager.get(reverse("refund_cases:index")).content.decode()


def test_resuming_ends_the_pause_and_says_before_what_will_be_sent(manager, store, generous, make_case):
    make_case()
    pause(store)
    url = reverse("refund_automatic:resume")
    assert "1 refund of €18.20 that waits is sent." in manager.get(url).content.decode()
    manager.post(url, {"why": "Corrected"})
    assert pauses(clock.now()) == []
    assert "Resumed: Corrected" in manager.get(reverse(PAGE)).content.decode()
    assert "not paused any more" in manager.post(url, {"why": ""}, follow=True).content.decode()


@pytest.mark.parametrize("permissions", [("view_cases",), EVERYTHING[:4], ("manage_brake",)], ids="+".join)
def test_without_the_permission_nothing_can_be_changed(make_user, sign_in, store, permissions):
    client = sign_in(make_user("lena", permissions))
    pause(store)
    before = AutomaticMoney.objects.values().get(store=store)

    page = client.get(reverse(PAGE))
    assert page.status_code == (200 if "view_cases" in permissions else 302)
    if page.status_code == 200:
        assert '<button type="submit" class="button">Save' not in page.content.decode()
    for name, data in ((PAGE, {"mode": "observe", "products": "0"}), ("refund_automatic:pause", {"hours": "1", "why": "x"})):
        assert client.post(reverse(name), data).status_code == 302
    assert client.post(reverse("refund_automatic:resume"), {"why": ""}).status_code == 302
    assert client.get(reverse("refund_automatic:pause")).status_code == 302
    assert AutomaticMoney.objects.values().get(store=store) == before


def test_each_store_has_its_own_dial(manager, store):
    other = Store.objects.create(slug="english", name="English shop", timezone="UTC")
    html = manager.get(reverse(PAGE)).content.decode()
    assert "English shop" in html
    manager.post(f"{reverse(PAGE)}?store=english", {"mode": "observe", "products": "0"})
    assert (brake_of(Store.objects.get(slug="english")).mode, brake_of(store).mode) == ("observe", "automatic")
    assert manager.get(f"{reverse(PAGE)}?store=nowhere").status_code == 404
    assert other.pk != store.pk


def test_the_store_of_self_tests_has_no_dial(manager, store):
    Store.objects.create(slug="selftest", name="Self-test shop", timezone="UTC", is_internal=True)
    assert "Self-test shop" not in manager.get(reverse(PAGE)).content.decode()
    assert manager.get(f"{reverse(PAGE)}?store=selftest").status_code == 404


def test_the_case_tells_why_the_brake_left_it_to_a_person(staff, store, generous, make_case):
    set_automatic(store=store, mode="automatic", limit_minor={}, ceilings=[Ceiling("EUR", Per.HOUR, 0)], by=SYSTEM, now=clock.now())
    html = staff.get(reverse("refund_cases:case", args=[make_case().pk])).content.decode()
    assert "Automatic refunds had reached their ceiling for an hour." in html
    assert "The policy would give €18.20" in html


def test_while_observing_the_person_decides_without_the_policys_answer_and_sees_it_afterwards(staff, store, generous, make_case):
    set_automatic(store=store, mode="observe", limit_minor={}, ceilings=[], by=SYSTEM, now=clock.now())
    case = make_case()
    url = reverse("refund_cases:case", args=[case.pk])

    html = staff.get(url).content.decode()

    assert "Decide by the facts" in html and "Downloads" in html
    assert "policy would give" not in html and "The policy gives" not in html and 'class="refund-line__why"' not in html
    assert 'value="18.20"' not in html
    do(staff, "approve", case, reason="Fine.", **{f"amount_{case.lines.get().line_id}": "18.20"})
    assert 'class="refund-line__why"' in staff.get(url).content.decode()
    assert Refund.objects.get().amount_minor == 1820
    assert not Decision.objects.get(outcome="approved").is_override


def test_while_suggesting_the_form_is_filled_with_what_the_policy_would_give(staff, store, generous, make_case):
    set_automatic(store=store, mode="suggest", limit_minor={}, ceilings=[], by=SYSTEM, now=clock.now())
    case = make_case()
    html = staff.get(reverse("refund_cases:case", args=[case.pk])).content.decode()
    assert 'value="18.20"' in html and "Automatic refunds only suggest" in html
    assert RefundRequest.objects.get().state == RequestState.IN_REVIEW


def test_the_page_costs_the_same_however_much_was_refunded(manager, generous, make_case, django_assert_max_num_queries):
    with django_assert_max_num_queries(25) as first:
        manager.get(reverse(PAGE))
    for _number in range(6):
        make_case()
    with django_assert_max_num_queries(len(first.captured_queries) + 1):
        manager.get(reverse(PAGE))


def test_what_only_the_brake_held_back_is_listed_and_approved_together(staff, store, generous, make_case):
    set_automatic(store=store, mode="automatic", limit_minor={}, ceilings=[Ceiling("EUR", Per.HOUR, 0)], by=SYSTEM, now=clock.now())
    first, second, doubtful = make_case(), make_case(), make_case([SALE], wants_person=True)
    url = reverse("refund_automatic:release")

    html = staff.get(url).content.decode()
    assert first.reference in html and second.reference in html and doubtful.reference not in html
    assert "€36.40" in html
    answer = staff.post(url, {"requests": [str(first.pk), str(second.pk)], "reason": "A busy day."}, follow=True)

    assert "2 requests are approved." in answer.content.decode()
    assert sorted(RefundRequest.objects.values_list("state", flat=True)) == ["approved", "approved", "in_review"]
    assert set(Decision.objects.filter(outcome="approved").values_list("reason", "is_override")) == {("A busy day.", False)}


def test_together_only_what_was_shown_and_may_be_approved_is(make_user, sign_in, store, generous, make_case):
    set_automatic(store=store, mode="automatic", limit_minor={}, ceilings=[Ceiling("EUR", Per.HOUR, 0)], by=SYSTEM, now=clock.now())
    user = make_user("sam")
    theirs, own, unseen, doubtful = make_case(), make_case(user_id=user.pk), make_case(), make_case([SALE], wants_person=True)
    url = reverse("refund_automatic:release")

    sent = {"requests": [str(theirs.pk), str(own.pk)], "reason": "A busy day."}
    html = sign_in(user).post(url, sent, follow=True).content.decode()
    assert "1 request is approved." in html and own.reference in html and "a colleague has to decide it" in html
    sign_in(user).post(url, {"requests": [str(doubtful.pk)], "reason": "A busy day."})
    sign_in(user).post(url, {"requests": [str(unseen.pk), "x"], "reason": " "})
    sign_in(make_user("lena", ["view_cases", "manage_brake"])).post(url, {"requests": [str(unseen.pk)], "reason": "Why not."})

    assert [RefundRequest.objects.get(pk=case.pk).state for case in (theirs, own, unseen, doubtful)] == ["approved", *["in_review"] * 3]
