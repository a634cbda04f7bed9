"""Following a refund: with and without script, honest about failure, closed to strangers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from refund_plugin import clock
from refund_plugin.actor import SYSTEM, Action, Actor, ActorKind
from refund_plugin.gateways.base import AnswerKind
from refund_plugin.gateways.services import default_account
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.models import Refund, RefundRequest
from refund_plugin.refunds.reconcile.services import advance_run, start_run
from refund_plugin.refunds.review import approve_request, ask_for_evidence, decline_request
from refund_plugin.refunds.services import request_refund
from refund_plugin.refunds.states import RefundState, RequestState
from refund_plugin.refunds.tracking import tracking_token
from tests.factories import COURSE, EBOOK, SALE
from tests.web.conftest import buy, problems, soup, words

pytestmark = pytest.mark.django_db
CLERK = Actor(kind=ActorKind.STAFF, id="7", label="Grace", actions=frozenset(Action))


def ask(*lines, person=False) -> RefundRequest:
    purchase = buy(*lines)
    return request_refund(
        purchase_id=purchase.pk,
        lines={line.pk: line.quantity for line in purchase.lines.all()},
        reason="changed_mind",
        by=SYSTEM,
        submission_key="one",
        wants_person=person,
        now=clock.now(),
    )


def path(request: RefundRequest, name: str = "track") -> str:
    return reverse(f"refund_plugin:{name}", args=[tracking_token(request)])


def follow(client: Client, request: RefundRequest):
    return soup(client.get(path(request)))


def steps(page) -> list[tuple[str, str]]:
    return [(item["class"][0], " ".join(item.select_one("b").get_text().split())) for item in page.select(".refund-steps li")]


def test_the_steps_are_told_with_their_times_and_the_zone(client, policy):
    request = ask(EBOOK)
    page = follow(client, request)
    assert [name for name, _title in steps(page)] == ["is-done", "is-done", "is-now", "is-next"]
    assert "Approved, by the policy: €18.20" in steps(page)[1][1]
    times = [tag["datetime"] for tag in page.select(".refund-steps time")]
    assert times[0] == request.created_at.isoformat()
    assert "Times in Europe/Berlin." in words(page)
    assert "You have not opened it" in words(page, ".refund-why")
    assert page.select_one("#refund-refresh a")["href"] == path(request)


def test_a_finished_refund_says_where_the_money_went(client, policy, gateway):
    request = ask(EBOOK)
    drive_refunds()
    page = follow(client, request)
    assert words(page, "h1") == "€18.20 went back to Visa •••• 4242"
    assert page.select_one("#refund-status")["data-final"] == "yes"
    assert page.select_one("#refund-refresh") is None
    assert page.select_one("script[src*=track]") is None


def test_the_number_for_the_bank_is_not_shown_once_the_money_came_back(client, policy, gateway):
    request = ask(EBOOK)
    drive_refunds()
    Refund.objects.update(trace_reference="54164827798615416758181")
    assert "54164827798615416758181" in words(follow(client, request))
    gateway.settle(Refund.objects.get().gateway_refund_id, AnswerKind.FAILED)
    run = start_run(account=default_account())
    while advance_run(run.pk, now=clock.now()):
        pass
    assert Refund.objects.get().state == RefundState.FAILED
    assert "54164827798615416758181" not in words(follow(client, request))


def test_a_pending_refund_is_on_its_way(client, policy, gateway):
    gateway.script("pending")
    request = ask(EBOOK)
    drive_refunds()
    page = follow(client, request)
    assert words(page, "h1") == "€18.20 are on their way to Visa •••• 4242"
    assert ("is-now", "Your bank books it") in steps(page)


def test_a_failed_refund_says_what_happened_and_what_we_do(client, policy, gateway):
    gateway.script("pending")
    request = ask(EBOOK)
    drive_refunds()
    refund = Refund.objects.get()
    gateway.settle(refund.gateway_refund_id, AnswerKind.FAILED, "expired_or_canceled_card")
    Refund.objects.update(due_at=clock.now() - timedelta(minutes=1))
    drive_refunds()
    assert Refund.objects.get().state == RefundState.FAILED
    page = follow(client, request)
    assert words(page, "h1") == "Your €18.20 are taking longer than usual"
    assert steps(page)[-1] == ("is-problem", "The money did not go through")
    assert "you need not do anything" in words(page, ".refund-steps")


def test_a_declined_line_is_answered_with_the_clause(client, policy):
    page = follow(client, ask(SALE))
    assert words(page, "h1") == "We cannot refund this"
    assert "Sold at a final discount." in words(page, ".refund-why")
    assert page.select_one(".refund-actions a")["href"] == f"/refunds/?order={RefundRequest.objects.get().purchase.number}"


def test_after_a_person_decided_their_reason_stands_alone(client, policy):
    request = ask(SALE, person=True)
    approve_request(
        request_id=request.pk, by=CLERK, reason="Faulty font file.", amounts={request.lines.get().line_id: 500}, now=clock.now()
    )
    page = follow(client, request)
    assert words(page, ".refund-line .refund-back") == "€5.00"
    assert page.select_one(".refund-why") is None
    assert "Grace" not in words(page)


def test_the_status_is_a_fragment_that_is_sent_only_when_it_changed(client, policy, gateway):
    request = ask(EBOOK)
    first = client.get(path(request, "track_status"))
    assert b"<html" not in first.content
    same = client.get(path(request, "track_status"), headers={"If-None-Match": first["ETag"]})
    assert (same.status_code, same.content) == (304, b"")
    drive_refunds()
    changed = client.get(path(request, "track_status"), headers={"If-None-Match": first["ETag"]})
    assert changed.status_code == 200
    assert soup(changed).select_one("#refund-status")["data-code"] == "refunded"
    assert str(soup(changed).select_one("#refund-status")) == str(follow(client, request).select_one("#refund-status"))


def test_a_foreign_forged_or_ended_link_gets_the_same_page_with_help(client, policy):
    request = ask(EBOOK)
    token = tracking_token(request)
    other = tracking_token(ask(COURSE))
    RefundRequest.objects.filter(pk=request.pk).update(tracking_nonce="new")
    mixed = f"{token.split('.')[0]}.{other.split('.')[1]}"
    answers = [client.get(reverse("refund_plugin:track", args=[bad])) for bad in (token, mixed, "nonsense", f"{'0' * 32}.x")]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert "Copy the whole link" in words(soup(answers[0]))
    for name in ("track_status", "track_cancel", "track_answer"):
        assert client.get(reverse(f"refund_plugin:{name}", args=[mixed])).status_code == 404
        assert client.post(reverse(f"refund_plugin:{name}", args=[mixed])).status_code in (404, 405)
    assert RefundRequest.objects.filter(state=RequestState.CANCELED).count() == 0


def test_the_link_shows_neither_the_address_nor_ids(client, policy):
    request = ask(EBOOK)
    text = client.get(path(request) + "?asked=1").content.decode()
    assert "ada@example.com" not in text
    assert "a•••@example.com" in text


def test_a_request_in_review_can_be_taken_back_after_a_question(client, policy):
    request = ask(SALE, person=True)
    link = follow(client, request).select_one(".refund-actions a")["href"]
    assert link == path(request, "track_cancel")
    assert client.get(link).status_code == 200
    assert RefundRequest.objects.get().state == RequestState.IN_REVIEW
    assert client.post(link)["Location"] == path(request)
    assert words(follow(client, request), "h1") == "You took this request back"


def test_what_is_sent_cannot_be_taken_back(client, policy, gateway):
    request = ask(EBOOK)
    drive_refunds()
    assert client.get(path(request, "track_cancel"))["Location"] == path(request)
    late = client.post(path(request, "track_cancel"))
    assert late.status_code == 409
    assert "can no longer be taken back" in problems(soup(late))[0][0]


def test_an_approved_request_that_waits_long_can_be_taken_back(client, policy):
    request = ask(EBOOK)
    assert "Take this request back" not in words(follow(client, request))
    with clock.travel(timedelta(seconds=11)):
        assert "Take this request back" in words(follow(client, request))
        client.post(path(request, "track_cancel"))
    assert RefundRequest.objects.get().state == RequestState.CANCELED


def test_a_question_is_answered_on_its_own_page(client, policy):
    request = ask(SALE, person=True)
    ask_for_evidence(request_id=request.pk, by=CLERK, question="Which program did you open it with?", now=clock.now())
    page = follow(client, request)
    assert "Which program did you open it with?" in words(page, ".refund-panel")
    link = path(request, "track_answer")
    assert page.select_one(".refund-panel a")["href"] == link
    empty = client.post(link, {"message": "  "})
    assert (empty.status_code, problems(soup(empty))) == (422, [("Write your answer.", "#id_message")])
    assert client.post(link, {"message": "With the usual one."})["Location"] == path(request)
    request.refresh_from_db()
    assert (request.state, request.message) == (RequestState.IN_REVIEW, "With the usual one.")
    assert client.get(link)["Location"] == path(request)


def test_a_persons_decline_shows_its_reason(client, policy):
    request = ask(SALE, person=True)
    decline_request(request_id=request.pk, by=CLERK, reason="The font works with every program we know.", now=clock.now())
    assert "The font works with every program we know." in words(follow(client, request), ".refund-steps")


@pytest.mark.parametrize("name", ["track_cancel", "track_answer"])
def test_changes_need_a_csrf_token(policy, name):
    request = ask(SALE, person=True)
    ask_for_evidence(request_id=request.pk, by=CLERK, question="Why?", now=clock.now())
    assert Client(enforce_csrf_checks=True).post(path(request, name), {"message": "Because"}).status_code == 403
    request.refresh_from_db()
    assert request.state == RequestState.NEEDS_EVIDENCE


@pytest.mark.parametrize("lines", [(EBOOK,), (EBOOK, COURSE, SALE)])
def test_the_number_of_queries_does_not_grow_with_the_lines(client, policy, gateway, bare_host, django_assert_num_queries, lines):
    request = ask(*lines)
    drive_refunds()
    with django_assert_num_queries(7):  # request with its policy; decisions; refunds with payments; gifts; lines; words; documents
        client.get(path(request))
    with django_assert_num_queries(5):
        client.get(path(request, "track_status"))
