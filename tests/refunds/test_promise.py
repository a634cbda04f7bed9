"""An amount that a customer was shown is kept: time takes nothing of it while it lasts, and less is never asked for unseen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_plugin.errors import QuoteChanged
from refund_plugin.orders.access import record_access
from refund_plugin.orders.data import LineData
from refund_plugin.orders.models import Purchase
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.promise import make_promise, read_promise
from refund_plugin.refunds.quote import judge_facts, quote_purchase
from refund_plugin.refunds.states import RequestState
from refund_plugin.rules import Goodwill, MoneyBack, Outcome, PolicyDocument, ProRated, UnusedOnly, evaluate, load_document, verdict_bytes
from refund_plugin.rules.facts import LineFacts
from tests.factories import EBOOK, MEMORY, NOW, make_purchase, publish_policy
from tests.refunds.helpers import ask
from tests.rules.building import line

BY_SECOND, BY_DAY = ProRated(anchor="seconds", by="second"), ProRated(anchor="days", by="day")
YEAR = LineData(
    sku="PLAN-1",
    name="A year",
    product_type="plan",
    paid_minor=24_000,
    term_start=NOW - timedelta(days=90),
    term_end=NOW + timedelta(days=275),
)
MINUTE = timedelta(minutes=1)


def quoted(purchase, now=NOW):
    quote = quote_purchase(purchase=purchase, now=now)
    return make_promise(quote), quote.total.minor


def bought() -> Purchase:
    return make_purchase(lines=[YEAR])


RANKS = {Outcome.DECLINE: 0, Outcome.REVIEW: 1, Outcome.APPROVE: 2}
CLAUSES = [
    BY_SECOND,
    BY_DAY,
    ProRated(anchor="months", by="month", fee_percent=10),
    MoneyBack(anchor="back", window_days=6),
    MoneyBack(anchor="half", window_days=9, percent=50),
    UnusedOnly(anchor="unused", window_days=6),
    Goodwill(anchor="kind", window_days=7, percent=30),
]


@given(
    st.permutations(CLAUSES),
    st.integers(1, len(CLAUSES)),
    st.integers(0, 400 * 86_400),
    st.integers(0, 40 * 86_400),
    st.integers(0, 2),
    st.sampled_from([1, 10]),
)
def test_however_late_one_asks_no_less_comes_back_than_at_the_moment_that_is_kept(clauses, count, after, waited, downloads, step):
    document = PolicyDocument(tuple(clauses[:count]))
    start = line().purchased_at
    facts = line(term_start=start, term_end=start + timedelta(days=365), downloads=downloads, now=start + timedelta(seconds=after))
    promised = evaluate(document, facts, step)
    later = replace(facts, now=facts.now + timedelta(seconds=waited))
    used, verdict = judge_facts(document, later, step=step, kept_from=facts.now)
    assert verdict.amount_minor >= promised.amount_minor
    assert RANKS[verdict.outcome] >= RANKS[promised.outcome]
    # what is stored gives the same again, byte for byte
    assert verdict_bytes(evaluate(document, LineFacts.from_json(used.as_json()), step)) == verdict_bytes(verdict)


@given(st.integers(0, 40 * 86_400), st.integers(1, 3))
def test_use_after_the_quote_counts_however_long_the_promise_lasts(waited, downloads):
    document, facts = PolicyDocument((UnusedOnly(anchor="unused", window_days=30),)), line()
    later = replace(facts, now=facts.now + timedelta(seconds=waited), downloads=downloads)
    assert judge_facts(document, later, step=1, kept_from=facts.now)[1].outcome is Outcome.DECLINE


@pytest.mark.django_db
@pytest.mark.parametrize("minutes", [0, 1, 29])
def test_what_was_quoted_is_paid_to_the_minor_unit_while_it_lasts(gateway, minutes):
    publish_policy(clauses=[BY_SECOND])
    purchase = bought()
    promise, amount = quoted(purchase)
    request = ask(purchase, promise=promise, now=NOW + minutes * MINUTE)
    decision = request.decisions.get()
    assert (request.state, decision.amount_minor) == (RequestState.APPROVED, amount)
    assert decision.decided_at == NOW + minutes * MINUTE
    document = load_document(decision.policy_version.document)
    assert evaluate(document, LineFacts.from_json(decision.facts[0])).as_json() == decision.verdicts[0]


@pytest.mark.django_db
def test_a_window_that_ends_while_the_customer_writes_is_still_open(gateway):
    publish_policy(clauses=[MoneyBack(anchor="back", window_days=6)])
    purchase = make_purchase()
    there = NOW.astimezone(ZoneInfo(purchase.store.timezone)) + timedelta(days=1)
    midnight = there.replace(hour=0, minute=0, second=0).astimezone(UTC)
    promise, _amount = quoted(purchase, midnight - MINUTE)
    assert ask(purchase, promise=promise, now=midnight + MINUTE).state == RequestState.APPROVED
    assert ask(make_purchase(), now=midnight + MINUTE).state == RequestState.DECLINED


@pytest.mark.django_db
def test_after_it_has_ended_nobody_asks_for_less_without_having_seen_it(gateway):
    publish_policy(clauses=[BY_SECOND])
    purchase = bought()
    promise, amount = quoted(purchase)
    late = NOW + 30 * MINUTE
    with pytest.raises(QuoteChanged, match="“A year” has changed since this page was opened") as caught:
        ask(purchase, promise=promise, now=late)
    assert caught.value.field == "lines"
    assert not RefundRequest.objects.exists()
    fresh, less = quoted(purchase, late)
    assert less < amount
    assert ask(purchase, promise=fresh, now=late).decisions.get().amount_minor == less


@pytest.mark.django_db
def test_an_amount_that_is_the_same_after_it_has_ended_is_simply_paid(policy):
    purchase = make_purchase()
    promise, _amount = quoted(purchase)
    assert ask(purchase, promise=promise, now=NOW + 31 * MINUTE).state == RequestState.APPROVED


@pytest.mark.django_db
def test_a_download_after_the_quote_is_shown_before_anything_is_asked(gateway):
    publish_policy(clauses=[UnusedOnly(anchor="unused", window_days=30)])
    purchase = make_purchase()
    promise, _amount = quoted(purchase)
    record_access(line=purchase.lines.get(), kind="downloaded", source_id="1", occurred_at=NOW + MINUTE)
    with pytest.raises(QuoteChanged):
        ask(purchase, promise=promise, now=NOW + 2 * MINUTE)
    assert not RefundRequest.objects.exists()


@pytest.mark.django_db
def test_how_long_it_lasts_is_the_shops_to_say(gateway, settings):
    settings.REFUND_PLUGIN = {**MEMORY, "QUOTE_SECONDS": 7200}
    publish_policy(clauses=[BY_SECOND])
    purchase = bought()
    promise, amount = quoted(purchase)
    assert ask(purchase, promise=promise, now=NOW + 119 * MINUTE).decisions.get().amount_minor == amount


@pytest.mark.django_db
def test_a_promise_is_worth_nothing_when_it_is_changed_or_anothers(policy):
    purchase, other = make_purchase(), make_purchase()
    promise, _amount = quoted(purchase)
    assert read_promise(promise, purchase=purchase).amounts == {purchase.lines.get().pk: (1, 1820)}
    passed_on = Purchase.objects.get(pk=purchase.pk)
    passed_on.customer_id = make_purchase(email="eve@example.com").customer_id
    for text, owner in ((promise, other), (promise, passed_on), (promise[:-1] + "x", purchase), ("x" * 30_000, purchase), ("", purchase)):
        assert read_promise(text, purchase=owner) is None
    tomorrow = make_promise(quote_purchase(purchase=purchase, now=NOW), quoted_at=NOW + timedelta(days=1))
    assert read_promise(tomorrow, purchase=purchase).kept_from(NOW) is None


@pytest.mark.django_db
def test_what_is_no_promise_changes_nothing_about_asking(policy):
    assert ask(make_purchase(lines=[EBOOK]), promise="nonsense").state == RequestState.APPROVED
