"""Every answer is said in plain words, from the values that decided."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given

from refund_plugin.rules import (
    MoneyBack,
    NonRefundable,
    ProRated,
    Selector,
    UnknownClause,
    UnusedOnly,
    describe_clause,
    evaluate,
    explain_line,
)
from tests.rules.building import BERLIN, ENGLISH, at, line, policy
from tests.rules.test_amounts import lines
from tests.rules.test_documents import documents


def explain(document, facts):
    return explain_line(evaluate(document, facts), document, facts, ENGLISH)


GUARANTEE = UnusedOnly(anchor="guarantee", window_days=30)
LESSONS = ProRated(anchor="lessons", by="unit", title="Courses")
PLANS = ProRated(anchor="plans", by="day")
YEAR = {"term_start": at("2026-03-03", BERLIN), "term_end": at("2027-03-03", BERLIN)}


@pytest.mark.parametrize(
    ("clause", "values", "headline", "sentence", "tag", "tag_text"),
    [
        (
            GUARANTEE,
            {},
            "You can get 18.20 EUR back",
            "You have not opened it, so the 30-day guarantee gives you everything back.",
            "yes",
            "Refundable until 2 April",
        ),
        (
            UnusedOnly(anchor="g", window_days=30, max_downloads=1, title="Try it"),
            {"downloads": 1},
            "You can get 18.20 EUR back",
            "You have used it no more than allowed, so the clause “Try it” gives you everything back.",
            "yes",
            "Refundable until 2 April",
        ),
        (
            GUARANTEE,
            {"activations": 1, "last_access_at": at("2026-03-04T18:22", BERLIN)},
            "This cannot be refunded",
            "The 30-day guarantee allows 0 activations; we found 1, the last access on 4 March at 18:22.",
            "no",
            "Not refundable",
        ),
        (
            UnusedOnly(anchor="g", window_days=30, max_downloads=1),
            {"downloads": 3},
            "This cannot be refunded",
            "The 30-day guarantee allows 1 download; we found 3.",
            "no",
            "Not refundable",
        ),
        (
            UnusedOnly(anchor="g", window_days=30, max_share_viewed_percent=10),
            {"share_viewed_percent": 60},
            "This cannot be refunded",
            "The 30-day guarantee allows 10% to be viewed; we found 60%.",
            "no",
            "Not refundable",
        ),
        (
            MoneyBack(anchor="m", window_days=30, percent=50),
            {"now": at("2026-03-04", BERLIN)},
            "You can get 9.10 EUR back",
            "You bought it 1 day ago, so the 30-day guarantee gives you 9.10 EUR back.",
            "part",
            "Refundable in part until 2 April",
        ),
        (
            MoneyBack(anchor="m", window_days=1),
            {"now": at("2026-03-03T12:00", BERLIN)},
            "You can get 18.20 EUR back",
            "You bought it today, so the 1-day guarantee gives you everything back.",
            "yes",
            "Refundable until 4 March",
        ),
        (
            MoneyBack(anchor="m", window_days=5),
            {},
            "This cannot be refunded",
            "The 5-day guarantee lasts 5 days after buying; it ended on 8 March.",
            "no",
            "Not refundable",
        ),
        (
            LESSONS,
            {"paid_minor": 2987, "units_granted": 12, "units_used": 3},
            "You can get 22.40 EUR back",
            "You have 9 of 12 units left, so the clause “Courses” gives you 22.40 EUR back.",
            "part",
            "Refundable in part",
        ),
        (
            LESSONS,
            {"units_granted": 12, "units_used": 0},
            "You can get 18.20 EUR back",
            "You have used nothing of it, so the clause “Courses” gives you everything back.",
            "yes",
            "Refundable",
        ),
        (
            LESSONS,
            {"units_granted": 12, "units_used": 12},
            "This cannot be refunded",
            "The clause “Courses” gives back what is left, and everything is used.",
            "no",
            "Not refundable",
        ),
        (
            PLANS,
            YEAR | {"now": at("2027-03-03", BERLIN)},
            "This cannot be refunded",
            "The clause “Pay for what you use” gives back what is left, and the time you paid for ended on 2 March.",
            "no",
            "Not refundable",
        ),
        (
            PLANS,
            {},
            "A person will look at this",
            "The clause “Pay for what you use” needs a fact that we do not have yet (Left), so a person looks at it.",
            "wait",
            "A person looks at it",
        ),
        (
            NonRefundable(anchor="n", title="Activated licences", reason="A licence in use cannot be given back."),
            {},
            "This cannot be refunded",
            "Activated licences: A licence in use cannot be given back.",
            "no",
            "Not refundable",
        ),
        (
            UnknownClause(anchor="x", raw='{"kind":"moon_phase"}', title="Full moon"),
            {},
            "A person will look at this",
            "The clause “Full moon” needs a person to read it, so a person looks at it.",
            "wait",
            "A person looks at it",
        ),
        (
            MoneyBack(anchor="m", window_days=30, outcome="review"),
            {},
            "A person will look at this",
            "The 30-day guarantee asks a person to look at it first; it would give you 18.20 EUR back.",
            "wait",
            "A person looks at it",
        ),
        (
            MoneyBack(anchor="m", window_days=30),
            {"paid_minor": 5001},
            "A person will look at this",
            "The 30-day guarantee gives you 50.01 EUR back; a person confirms amounts of this size.",
            "wait",
            "A person looks at it",
        ),
        (
            MoneyBack(anchor="m", window_days=30, percent=1),
            {"paid_minor": 10},
            "This cannot be refunded",
            "By the 30-day guarantee, what is left is too little to be paid out.",
            "no",
            "Not refundable",
        ),
        (
            MoneyBack(anchor="m", window_days=30, selector=Selector(skus=frozenset({"A"}))),
            {},
            "A person will look at this",
            "Our refund policy does not say anything about this, so a person looks at it.",
            "wait",
            "A person looks at it",
        ),
        (
            MoneyBack(anchor="m", window_days=30),
            {"refunded_quantity": 1},
            "Already refunded",
            "All of this was already refunded, or is on its way to you.",
            "no",
            "Already refunded",
        ),
        (
            MoneyBack(anchor="m", window_days=30),
            {"paid_minor": 0},
            "This cannot be refunded",
            "You paid nothing for this, so there is nothing to give back.",
            "no",
            "Not refundable",
        ),
    ],
)
def test_each_answer_reads_like_a_person_wrote_it(clause, values, headline, sentence, tag, tag_text):
    explanation = explain(policy(clause, limit={"EUR": 5000}), line(**values))
    assert (explanation.headline, explanation.sentence, explanation.tag, explanation.tag_text) == (headline, sentence, tag, tag_text)


def test_the_title_stands_apart_so_that_a_page_can_link_it():
    explanation = explain(policy(GUARANTEE), line())
    assert (explanation.before, explanation.clause_title, explanation.after, explanation.clause_anchor) == (
        "You have not opened it, so the ",
        "30-day guarantee",
        " gives you everything back.",
        "guarantee",
    )


def test_the_facts_used_stand_beside_what_is_allowed():
    assert list(explain(policy(GUARANTEE), line(share_viewed_percent=5)).facts) == [
        ("Bought", "6 days ago (30 allowed)"),
        ("Downloads", "0 (0 allowed)"),
        ("Viewed", "5% (0% allowed)"),
        ("Activations", "0 (0 allowed)"),
    ]
    assert explain(policy(GUARANTEE), line(downloads=None)).facts[1] == ("Downloads", "not known")
    assert explain(policy(PLANS), line(**YEAR)).facts == (("Left", "359 of 365 days"),)


def test_what_waiting_costs_is_said():
    assert (
        explain(policy(LESSONS), line(paid_minor=2987, units_granted=12, units_used=3)).hint == "One unit more and it would be 19.91 EUR."
    )
    assert explain(policy(PLANS), line(paid_minor=36_500, **YEAR)).hint == "Tomorrow it would be 358.00 EUR."
    assert explain(policy(GUARANTEE), line()).hint == ""


@pytest.mark.parametrize(("hours", "text"), [(24, "12 of 24 hours"), (24 * 10, "9 of 10 days")])
def test_time_left_to_the_second_is_told_in_hours_or_days(hours, text):
    start = at("2026-03-09T02:02:11", BERLIN)
    facts = line(term_start=start, term_end=start + timedelta(hours=hours), now=start + timedelta(hours=12))
    assert explain(policy(ProRated(anchor="p", by="second")), facts).facts == (("Left", text),)


def test_a_date_is_the_customers_even_where_the_day_differs_from_utc():
    facts = line(timezone="Pacific/Kiritimati", purchased_at=at("2026-03-03T10:00", "Pacific/Kiritimati"))
    assert explain(policy(GUARANTEE), facts).tag_text == "Refundable until 2 April"


@given(documents, lines())
def test_any_verdict_of_any_policy_can_be_explained(document, facts):
    explanation = explain(document, facts)
    assert explanation.headline and explanation.sentence and explanation.tag_text
    assert "%(" not in explanation.before + explanation.after or any("%(" in str(clause) for clause in document.clauses)


def test_titles_with_percent_signs_and_braces_stay_as_they_are():
    clause = MoneyBack(anchor="m", window_days=30, title="100 % {money} %(back)s")
    assert explain(policy(clause), line()).clause_title == "100 % {money} %(back)s"
    assert "100 % {money} %(back)s" in explain(policy(clause), line()).sentence


@pytest.mark.parametrize(
    ("clause", "title", "summary", "bullet"),
    [
        (
            UnusedOnly(anchor="c", window_days=30, max_downloads=2, max_share_viewed_percent=10, max_activations=1),
            "30-day guarantee",
            "Ask within 30 days of buying while it is unused, and you get everything back. "
            "Unused means: at most 2 downloads, at most 10% viewed, at most 1 activation.",
            "30 days to change your mind about what you have not opened.",
        ),
        (
            MoneyBack(anchor="c", window_days=1, percent=80, outcome="review"),
            "1-day guarantee",
            "Ask within 1 day of buying, and you get 80% of the price back. A person looks at every request first.",
            "1 day to change your mind, for 80% of the price back.",
        ),
        (
            UnusedOnly(anchor="c", window_days=60, percent=50),
            "60-day guarantee",
            "Ask within 60 days of buying while it is unused, and you get 50% of the price back. "
            "Unused means: no downloads, nothing viewed, no activations.",
            "60 days to change your mind about what you have not opened, for 50% of the price back.",
        ),
        (
            MoneyBack(anchor="c", window_days=60),
            "60-day guarantee",
            "Ask within 60 days of buying, and you get everything back.",
            "60 days to change your mind.",
        ),
        (
            ProRated(anchor="c", by="unit", percent=90, fee_percent=5, window_days=60),
            "Pay for what you use",
            "You get back the price of every unit you have not used. Of that, 90% is paid back. A fee of 5% is kept. "
            "Ask within 60 days of buying.",
            "Part of your money back for what you have not used.",
        ),
        (
            ProRated(anchor="c", by="day"),
            "Pay for what you use",
            "You get back the price of every day that is left.",
            "Your money back for what you have not used.",
        ),
        (
            NonRefundable(anchor="c", title="Final sale", reason="Sale items stay sold.", selector=Selector(tags=frozenset({"b", "a"}))),
            "Final sale",
            "For what is tagged a, b. Sale items stay sold.",
            "Final sale: sale items stay sold.",
        ),
        (UnknownClause(anchor="c", raw="{}"), "A clause that a person reads", "A person decides.", "A person decides."),
    ],
)
def test_a_clause_describes_itself_from_its_values(clause, title, summary, bullet):
    text = describe_clause(clause, ENGLISH)
    assert (text.title, text.summary, text.bullet) == (title, summary, bullet)


def test_a_selection_is_described_with_prices_when_the_currency_is_known():
    selector = Selector(product_types=frozenset({"ebook"}), countries=frozenset({"DE", "AT"}), nature="content", price_from_minor=1000)
    clause = MoneyBack(anchor="c", window_days=30, selector=selector)
    assert describe_clause(clause, ENGLISH, "EUR").summary.startswith(
        "For ebook; customers in AT, DE; digital content; prices from 10.00 EUR. "
    )
    assert describe_clause(clause, ENGLISH).summary.startswith("For ebook; customers in AT, DE; digital content; certain prices. ")
