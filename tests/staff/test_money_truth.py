"""The report "Money truth": sums per account and currency, comparisons, self-tests, and who may start them."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from django.urls import reverse

from refund_plugin import clock
from refund_plugin.actor import SYSTEM
from refund_plugin.duties import duties
from refund_plugin.events.heartbeats import beat
from refund_plugin.gateways.base import AnswerKind, GatewayAnswer
from refund_plugin.gateways.models import GatewayAccount
from refund_plugin.gateways.services import default_account
from refund_plugin.money import Money
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.followers import register
from refund_plugin.refunds.ledger.verify import run_duty
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.reconcile.models import ReconciliationRun, RunState, SelfTest
from refund_plugin.refunds.reconcile.queries import VERIFY_BEAT, account_truths, books, deadlines
from refund_plugin.refunds.reconcile.services import advance_run, start_run
from refund_plugin.refunds.review import approve_request
from refund_plugin.refunds.selftest import run_selftest
from refund_plugin.refunds.states import RefundState
from tests.factories import make_purchase, publish_policy
from tests.refunds.helpers import ask
from tests.staff.helpers import whole_state

pytestmark = pytest.mark.django_db

PAGE = "refund_money:index"


@pytest.fixture
def verified(gateway):
    beat(VERIFY_BEAT, now=clock.database_now())


def approve(case):
    approve_request(request_id=case.pk, by=SYSTEM, reason="Fine.", now=clock.now())


def compare():
    run = start_run(account=default_account())
    while advance_run(run.pk, now=clock.now()):
        pass


def page(client):
    return client.get(reverse(PAGE)).content.decode()


def only_sums():
    [truth] = account_truths(clock.now())
    [sums] = truth.sums
    return sums


def test_every_euro_is_in_the_place_where_it_stands(gateway, make_case):
    refunded, pending, unknown, waiting = (make_case() for _ in range(4))
    approve(refunded), drive_refunds()
    gateway.script("pending")
    approve(pending), drive_refunds()
    gateway.script("timeout_after_commit")
    approve(unknown), drive_refunds()
    approve(waiting)
    assert set(Refund.objects.values_list("state", flat=True)) == {"succeeded", "pending", "unknown", "reserved"}

    sums = only_sums()

    euro = Money(1820, "EUR")
    assert (sums.captured, sums.refunded, sums.pending, sums.unknown, sums.waiting) == (Money(4 * 1820, "EUR"), euro, euro, euro, euro)
    assert sums.unknown_since == Refund.objects.get(state=RefundState.UNKNOWN).first_sent_at
    payments = Payment.objects.all()
    assert sums.refunded.minor + sums.elsewhere.minor + sums.by_hand.minor == sum(row.gone_minor for row in payments)
    assert sum(amount.minor for amount in (sums.pending, sums.unknown, sums.waiting, sums.claimed)) == sum(
        row.held_minor for row in payments
    )


def test_money_that_went_past_us_is_told_apart_and_asks_for_a_look(gateway, policy, verified, staff):
    purchase = make_purchase()
    gateway.refund_externally(purchase.payments.get().gateway_payment_id, Money(500, "EUR"))
    compare()
    sums = only_sums()
    assert (sums.refunded.minor, sums.elsewhere.minor, sums.unassigned.minor) == (0, 500, 500)
    assert "€5.00 refunded elsewhere belong to no product yet" in page(staff)


def test_test_money_is_never_added_to_real_money(gateway, policy):
    make_purchase()
    real = make_purchase().payments.get()
    Payment.objects.filter(pk=real.pk).update(livemode=True)
    assert [(truth.livemode, truth.is_current, truth.sums[0].captured.minor) for truth in account_truths(clock.now())] == [
        (True, False, 1820),
        (False, True, 1820),
    ]


def test_the_self_tests_money_is_in_no_sum(gateway, verified, staff):
    assert run_selftest(account=default_account(), now=clock.now()).fine
    [truth] = account_truths(clock.now())
    assert (truth.sums, truth.backlog.due, books().totals) == ([], 0, [])
    assert "No payment was recorded yet." in page(staff)


def test_when_all_agrees_the_page_says_so(gateway, make_case, verified, staff):
    approve(make_case()), drive_refunds()
    compare()
    html = page(staff)
    assert "The money adds up" in html
    assert "Nothing differs." in html
    assert "1 listed, 1 ours" in html
    assert "Debits equal credits." in html


def test_what_the_gateway_tells_differently_is_named_with_its_case(gateway, make_case, verified, staff):
    case = make_case()
    approve(case), drive_refunds()
    gateway.drop_from_listings(Refund.objects.get().gateway_refund_id)
    with clock.travel(timedelta(hours=2)):
        compare()
    html = page(staff)
    assert "main: 1 refund differs from what the payment provider says." in html
    assert Refund.objects.get().gateway_refund_id in html
    assert reverse("refund_cases:case", args=[case.pk]) in html


def test_money_that_came_back_and_is_owed_does_not_add_up_until_a_person_has_seen_to_it(gateway, make_case, verified, staff):
    approve(make_case()), drive_refunds()
    refund = Refund.objects.get()
    gateway.settle(refund.gateway_refund_id, AnswerKind.FAILED, "expired_or_canceled_card")
    compare()
    html = page(staff)
    assert "The money adds up" not in html
    assert "main: 1 refund needs a person, see Requests." in html


def test_an_answer_that_stays_unknown_and_a_silent_gateway_are_told(gateway, make_case, verified, staff):
    gateway.script("timeout_after_commit")
    approve(make_case()), drive_refunds()
    hour_ago = clock.now() - timedelta(hours=2)
    Refund.objects.update(first_sent_at=hour_ago, due_at=hour_ago)
    GatewayAccount.objects.update(breaker_open_until=clock.now() + timedelta(minutes=5))
    html = page(staff)
    assert "the answer for €18.20 is not known for more than an hour" in html
    assert "the payment provider does not answer; refunds wait" in html
    assert "refunds have been due for more than ten minutes" in html


def test_books_that_do_not_add_up_lead_to_their_alert(gateway, make_case, verified, staff):
    approve(make_case()), drive_refunds()
    Payment.objects.update(gone_minor=1)
    run_duty(clock.now())
    html = page(staff)
    assert "The books do not add up." in html
    assert reverse("refund_alerts:alert", args=[books().differs.pk]) in html


def test_the_books_age_is_what_the_sweep_writes_for_its_duty(gateway):
    register()
    assert VERIFY_BEAT in {f"duty:{duty.name}" for duty in duties()}
    assert books().verified_at is None


def test_money_that_the_law_wants_back_is_counted(gateway, policy):
    publish_policy(limit=100, now=clock.now() - timedelta(days=300))
    now = clock.now()
    ask(make_purchase(purchased_at=now - timedelta(days=13)), withdrawal=True, now=now)
    found = deadlines(now)
    assert (found.late, found.soon, found.open) == (0, 0, 1)
    assert deadlines(now + timedelta(days=12)).soon == 1
    assert deadlines(now + timedelta(days=15)).late == 1


def test_a_comparison_is_started_by_a_button_and_its_progress_followed(gateway, policy, staff):
    make_purchase()
    response = staff.post(reverse("refund_money:compare", args=["main"]))
    run = ReconciliationRun.objects.get()
    assert (response.status_code, run.state, run.started_by) == (302, RunState.RUNNING, "sam")
    assert staff.post(reverse("refund_money:compare", args=["main"])).status_code == 302
    assert ReconciliationRun.objects.count() == 1

    progress = reverse("refund_money:progress")
    assert "<progress" in staff.get(progress).content.decode()
    assert progress in page(staff)
    while advance_run(run.pk, now=clock.now()):
        pass
    assert "<progress" not in staff.get(progress).content.decode()


def test_a_self_test_is_run_by_a_button_and_shown_step_by_step(gateway, staff):
    response = staff.post(reverse("refund_money:selftest", args=["main"]), follow=True)
    assert SelfTest.objects.get().started_by == "sam"
    html = response.content.decode()
    assert "The self-test went through" in html
    for step in ("Make a small test payment", "Send the refund", "Compare gateway, balances and ledger"):
        assert step in html


def test_a_self_test_that_fails_says_at_which_step(gateway, staff, monkeypatch):
    refused = GatewayAnswer(kind=AnswerKind.FAILED, code="card_declined")
    monkeypatch.setattr(gateway, "make_test_payment", lambda amount, *, key: refused)
    response = staff.post(reverse("refund_money:selftest", args=["main"]), follow=True)
    assert not SelfTest.objects.get().fine
    assert "The self-test failed at “Make a small test payment”." in response.content.decode()
    assert "main: the last self-test failed." in response.content.decode()


def test_no_self_test_where_real_money_moves(gateway, staff):
    GatewayAccount.objects.update(livemode=True)
    response = staff.post(reverse("refund_money:selftest", args=["main"]), follow=True)
    assert "in test mode only" in response.content.decode()
    assert "Run a self-test" not in response.content.decode()
    assert not SelfTest.objects.exists() and not Payment.objects.exists()


@pytest.mark.parametrize("name", ["compare", "selftest"])
def test_who_may_not_approve_reads_and_starts_nothing(gateway, case, make_user, sign_in, name):
    reader, before = sign_in(make_user("reader", ["view_cases"])), whole_state(case)
    html = page(reader)
    assert "Compare now" not in html and "Run a self-test" not in html
    assert reader.post(reverse(f"refund_money:{name}", args=["main"])).status_code == 302
    assert whole_state(case) == before
    assert not ReconciliationRun.objects.exists() and not SelfTest.objects.exists()


@pytest.mark.parametrize("name", ["compare", "selftest"])
def test_nothing_is_started_by_a_link_or_for_an_unknown_account(gateway, staff, name):
    assert staff.get(reverse(f"refund_money:{name}", args=["main"])).status_code == 405
    assert staff.post(reverse(f"refund_money:{name}", args=["other"])).status_code == 404
    assert not ReconciliationRun.objects.exists() and not SelfTest.objects.exists()


@pytest.mark.parametrize("name", ["index", "progress", "file"])
def test_without_the_permission_to_see_cases_nothing_opens(gateway, make_user, sign_in, name):
    response = sign_in(make_user("other", ["approve_refunds"])).get(reverse(f"refund_money:{name}"))
    assert (response.status_code, response["Location"]) == (302, reverse("wagtailadmin_home"))


def test_the_sums_are_a_file_for_spreadsheets(gateway, make_case, staff):
    approve(make_case()), drive_refunds()
    response = staff.get(reverse("refund_money:file"))
    rows = list(csv.DictReader(io.StringIO(response.getvalue().decode())))
    assert response["Content-Disposition"].startswith('attachment; filename="money-')
    told = {row["measure"]: (row["account"], row["mode"], row["amount"], row["amount_minor"]) for row in rows}
    assert told["refunded"] == ("main", "test", "18.20", "1820")
    debits, credits = (sum(int(row["amount_minor"]) for row in rows if row["measure"].endswith(side)) for side in (" debit", " credit"))
    assert debits == credits > 0


def test_the_page_costs_the_same_however_much_was_refunded(gateway, make_case, staff, django_assert_num_queries):
    approve(make_case()), drive_refunds()
    compare()
    page(staff)
    with django_assert_num_queries(21):
        page(staff)
    for _ in range(5):
        approve(make_case())
    drive_refunds()
    for refund in Refund.objects.all():
        gateway.drop_from_listings(refund.gateway_refund_id)
    with clock.travel(timedelta(hours=2)):
        compare()
    with django_assert_num_queries(21):
        page(staff)


def test_accounts_take_seven_statements_books_three_and_the_law_one(gateway, make_case, django_assert_num_queries):
    approve(make_case()), drive_refunds()
    compare()
    now = clock.now()
    with django_assert_num_queries(7):
        account_truths(now)
    with django_assert_num_queries(3):
        books()
    with django_assert_num_queries(1):
        deadlines(now)
