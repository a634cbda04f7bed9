"""What the law gives beside a policy: where it gives more it decides and says so, and where it does not nothing changes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_plugin.errors import InvalidInput
from refund_plugin.rules import (
    Defective,
    Floor,
    FloorPreset,
    LineFacts,
    MoneyBack,
    NonRefundable,
    Outcome,
    ProRated,
    Reason,
    Right,
    evaluate,
    explain_line,
    floor_for,
    floor_of,
    floor_presets,
    preset_for,
    register_floor_preset,
    unregister_floor_preset,
    verdict_bytes,
)
from tests.rules.building import BERLIN, ENGLISH, at, line, policy

FINAL = policy(NonRefundable(anchor="final", reason="Sold as it is."))
EU = floor_presets()["eu"].floor
UK = floor_presets()["uk"].floor


def judge(document, facts, **options):
    return evaluate(document, facts, floor=floor_for(facts), **options)


def content(**values) -> LineFacts:
    return line(**{"country": "DE", "nature": "content", **values})


def service(**values) -> LineFacts:
    """A year for 18.25 EUR, six days of 365 gone."""
    term = {"term_start": at("2026-03-03", BERLIN), "term_end": at("2027-03-03", BERLIN)}
    return line(**{"country": "DE", "nature": "service", "paid_minor": 1825, **term, **values})


def test_a_consumer_gets_unused_content_back_within_14_days_whatever_the_policy_excludes_and_reads_why():
    facts = content()
    verdict = judge(FINAL, facts)
    assert (verdict.outcome, verdict.amount_minor, verdict.full) == (Outcome.APPROVE, 1820, True)
    assert (verdict.clause_kind, verdict.clause_anchor, verdict.clause_index) == ("statutory_floor", "", None)
    told = explain_line(verdict, FINAL, facts, ENGLISH)
    assert told.sentence == (
        "The law gives you more than this policy: You may change your mind within 14 days, so your right to withdraw "
        "(Directive 2011/83/EU, article 9) gives you everything back."
    )
    assert (told.clause_title, told.clause_anchor, told.tag) == ("right to withdraw", "", "yes")


def test_what_the_policy_said_stays_on_record_beside_what_the_law_gave():
    assert judge(FINAL, content()).considered == evaluate(FINAL, content()).considered


@pytest.mark.parametrize(
    ("values", "outcome", "amount"),
    [
        ({"downloads": 1, "consent_proven": True}, Outcome.DECLINE, 0),
        ({"downloads": 1, "consent_proven": False}, Outcome.APPROVE, 1820),
        ({"downloads": 1, "consent_proven": None}, Outcome.REVIEW, 0),
        ({"downloads": 0, "consent_proven": True}, Outcome.APPROVE, 1820),
        ({"downloads": None, "consent_proven": True}, Outcome.REVIEW, 0),
    ],
)
def test_a_download_ends_the_right_only_with_proven_consent(values, outcome, amount):
    verdict = judge(FINAL, content(**values))
    assert (verdict.outcome, verdict.amount_minor) == (outcome, amount)


def test_where_nobody_knows_of_a_consent_a_person_looks_and_the_customer_reads_that_the_law_may_give_more():
    facts = content(downloads=1)
    told = explain_line(judge(FINAL, facts), FINAL, facts, ENGLISH)
    assert told.sentence == (
        "The law may give you more than this policy: your right to withdraw (Directive 2011/83/EU, article 9) needs a fact that we do not "
        "have yet (Right to withdraw not used up), so a person looks at it."
    )


@pytest.mark.parametrize(("consent", "amount"), [(True, 1795), (False, 1825)])
def test_a_service_of_18_25_for_365_days_of_which_6_are_gone_owes_30_cents_only_with_proven_consent(consent, amount):
    verdict = judge(FINAL, service(consent_proven=consent))
    assert (verdict.outcome, verdict.amount_minor) == (Outcome.APPROVE, amount)


@pytest.mark.parametrize("values", [{"buyer_kind": "business"}, {"country": "US"}, {"country": ""}])
def test_businesses_and_countries_without_a_preset_get_what_the_policy_gives(values):
    assert judge(FINAL, content(**values)) == evaluate(FINAL, content(**values))


def test_a_buyer_nobody_knows_the_kind_of_counts_as_a_consumer():
    assert judge(FINAL, content(buyer_kind="unknown")).outcome is Outcome.APPROVE


def test_the_right_ends_with_the_last_second_of_the_14th_day_in_the_customers_time_zone():
    bought = at("2026-03-03T10:00", BERLIN)  # a Tuesday, and so is the 14th day after it
    end = at("2026-03-17T23:59:59", BERLIN)
    inside = judge(FINAL, content(purchased_at=bought, now=end))
    assert (inside.outcome, inside.ask_until) == (Outcome.APPROVE, end)
    assert judge(FINAL, content(purchased_at=bought, now=end + timedelta(seconds=1))).outcome is Outcome.DECLINE


@pytest.mark.parametrize(
    ("bought", "last_day_eu", "last_day_uk"),
    [
        ("2026-03-06", "2026-03-20", "2026-03-20"),  # a Friday
        ("2026-03-07", "2026-03-23", "2026-03-21"),  # a Saturday: until Monday
        ("2026-03-08", "2026-03-23", "2026-03-22"),  # a Sunday: until Monday
    ],
)
def test_in_the_eu_a_period_that_would_end_on_a_weekend_ends_with_monday(bought, last_day_eu, last_day_uk):
    for floor, last_day in ((EU, last_day_eu), (UK, last_day_uk)):
        facts = content(purchased_at=at(bought, BERLIN), now=at(f"{last_day}T23:59:59", BERLIN))
        assert evaluate(FINAL, facts, floor=floor).ask_until == facts.now
        assert evaluate(FINAL, replace(facts, now=facts.now + timedelta(seconds=1)), floor=floor).outcome is Outcome.DECLINE


def test_a_reported_fault_is_looked_at_for_the_whole_price_whatever_the_policy_excludes_and_was_used():
    facts = content(downloads=9, consent_proven=True, fault_reported=True, now=at("2028-01-01", BERLIN))
    verdict = judge(FINAL, facts)
    assert (verdict.outcome, verdict.reason, verdict.amount_minor) == (Outcome.REVIEW, Reason.CLAUSE_REVIEWS, 1820)
    assert verdict.by_law.right is Right.CONFORMITY
    told = explain_line(verdict, FINAL, facts, ENGLISH).sentence
    assert told == (
        "The law may give you more than this policy: You told us that it does not work. By your right to something that works "
        "(Directive (EU) 2019/770, article 14) a person looks at it, and can give you 18.20 EUR back."
    )


def test_a_fault_within_the_days_to_withdraw_is_paid_at_once_because_nothing_has_to_be_looked_at():
    assert judge(FINAL, content(fault_reported=True)).by_law.right is Right.WITHDRAWAL


def test_a_fee_of_the_policy_is_not_kept_from_a_reported_fault():
    document = policy(ProRated(anchor="p", by="unit", fee_percent=50))
    facts = content(units_granted=10, units_used=5, consent_proven=True, downloads=1, fault_reported=True)
    verdict = judge(document, facts)
    assert (evaluate(document, facts).amount_minor, verdict.amount_minor, verdict.outcome) == (455, 1820, Outcome.REVIEW)


def test_a_policy_that_gives_as_much_decides_itself_and_the_verdict_is_the_same_to_the_byte():
    for document in (policy(MoneyBack(anchor="m", window_days=30)), policy(Defective(anchor="d"), NonRefundable(anchor="n"))):
        facts = content(downloads=1, consent_proven=True, fault_reported=True)
        assert verdict_bytes(judge(document, facts)) == verdict_bytes(evaluate(document, facts))


def test_the_law_gives_all_at_once_where_the_policy_asks_a_person_or_gives_a_part():
    for clause in (MoneyBack(anchor="m", window_days=30, outcome="review"), MoneyBack(anchor="m", window_days=30, percent=50)):
        verdict = judge(policy(clause), content())
        assert (verdict.outcome, verdict.amount_minor, verdict.by_law.right) == (Outcome.APPROVE, 1820, Right.WITHDRAWAL)


def test_above_the_policys_limit_a_person_confirms_what_the_law_gives():
    document = policy(NonRefundable(anchor="n"), limit={"EUR": 1000})
    verdict = judge(document, content())
    assert (verdict.outcome, verdict.reason, verdict.amount_minor) == (Outcome.REVIEW, Reason.ABOVE_LIMIT, 1820)
    assert explain_line(verdict, document, content(), ENGLISH).sentence.startswith("The law gives you more than this policy: ")


@pytest.mark.parametrize("values", [{"paid_minor": 0}, {"refunded_quantity": 1, "refunded_minor": 1820}])
def test_nobody_gets_back_what_was_not_paid_or_is_back_already(values):
    assert judge(FINAL, content(**values)).outcome is Outcome.DECLINE


def test_a_verdict_by_law_is_made_again_from_its_record_after_its_preset_has_changed():
    facts = content()
    verdict = judge(FINAL, facts)
    stored = json.loads(verdict_bytes(verdict))
    register_floor_preset(replace(floor_presets()["eu"], floor=replace(EU, withdrawal_days=1)))
    try:
        assert judge(FINAL, facts).outcome is Outcome.DECLINE
        assert evaluate(FINAL, facts, floor=floor_of(stored)) == verdict
    finally:
        register_floor_preset(replace(floor_presets()["eu"], floor=EU))
    assert (stored["floor"]["source"], stored["floor"]["right"]) == ("Directive 2011/83/EU, article 9", "withdrawal")


def test_a_verdict_of_the_policy_holds_no_floor():
    assert "floor" not in evaluate(FINAL, content()).as_json()
    assert floor_of(evaluate(FINAL, content()).as_json()) is None
    with pytest.raises(InvalidInput):
        Floor.from_json({"preset": "eu"})


def test_every_member_state_and_the_rest_of_the_eea_and_the_uk_have_a_preset_with_its_sources():
    eu = sorted(preset_for("DE").countries)
    assert len(eu) == 27 and {"AT", "FR", "MT", "SE"} < set(eu)
    assert {code: preset_for(code).name for code in [*eu, "NO", "IS", "LI", "GB"]} == {
        **dict.fromkeys(eu, "eu"),
        **dict.fromkeys(["NO", "IS", "LI"], "eea"),
        "GB": "uk",
    }
    assert preset_for("US") is None and preset_for("de").name == "eu"
    for preset in floor_presets().values():
        assert preset.checked == date(2026, 11, 23) and preset.implies
        assert all((preset.waiver_source, preset.service_source, preset.reimburse_source))
        assert all((preset.floor.withdrawal_source, preset.floor.conformity_source))
    assert floor_presets()["eu"].function_since == date(2026, 6, 19)


def test_a_preset_of_a_merchant_counts_for_its_countries_before_ours_until_it_is_taken_away():
    mine = replace(floor_presets()["eu"], name="generous", countries=frozenset({"DE", "CH"}))
    mine = replace(mine, floor=replace(mine.floor, preset="generous", withdrawal_days=30))
    register_floor_preset(mine)
    try:
        late = content(now=at("2026-04-01", BERLIN))
        assert [judge(FINAL, replace(late, country=code)).amount_minor for code in ("DE", "CH", "FR")] == [1820, 1820, 0]
    finally:
        unregister_floor_preset("generous")
    assert preset_for("DE").name == "eu" and preset_for("CH") is None


def test_elsewhere_the_preset_counts_that_the_shop_names_but_never_in_the_place_of_a_countrys_own():
    assert floor_for(content(country="US"), "uk") == UK
    assert floor_for(content(country=""), "uk") == UK
    assert floor_for(content(), "uk") == EU
    assert floor_for(content(country="US", buyer_kind="business"), "uk") is None
    assert floor_for(content(country="US"), "unheard-of") is None


@pytest.mark.parametrize(
    "changes", [{"name": ""}, {"name": "other"}, {"countries": frozenset({"Germany"})}, {"floor": replace(EU, withdrawal_days=-1)}]
)
def test_a_preset_that_makes_no_sense_is_refused_and_changes_nothing(changes):
    before = floor_presets()
    broken: FloorPreset = replace(before["eu"], **changes)
    with pytest.raises(InvalidInput):
        register_floor_preset(broken)
    assert floor_presets() == before


POLICIES = st.sampled_from(
    [
        FINAL,
        policy(),
        policy(MoneyBack(anchor="m", window_days=7, percent=50)),
        policy(MoneyBack(anchor="m", window_days=30, outcome="review", percent=80)),
        policy(ProRated(anchor="p", by="best", fee_percent=20), limit={"EUR": 700}),
    ]
)
FACTS = st.builds(
    content,
    nature=st.sampled_from(["content", "service", ""]),
    country=st.sampled_from(["DE", "GB", "NO", "US", ""]),
    buyer_kind=st.sampled_from(["consumer", "business", "unknown"]),
    now=st.integers(0, 1000).map(lambda days: at("2026-03-03T12:00", BERLIN) + timedelta(days=days)),
    quantity=st.just(3),
    asked_quantity=st.integers(1, 2),
    refunded_quantity=st.integers(0, 1),
    refunded_minor=st.sampled_from([0, 607, 1500]),
    downloads=st.sampled_from([None, 0, 2]),
    units_granted=st.just(12),
    units_used=st.integers(0, 12),
    consent_proven=st.sampled_from([None, True, False]),
    fault_reported=st.sampled_from([None, True, False]),
)


@given(document=POLICIES, facts=FACTS, step=st.sampled_from([1, 10]))
def test_nobody_is_ever_worse_off_with_the_law_than_with_the_policy_alone_nor_gets_more_than_is_left(document, facts, step):
    without, verdict = evaluate(document, facts, step), judge(document, facts, step=step)
    assert verdict.amount_minor >= without.amount_minor
    assert 0 <= verdict.amount_minor <= facts.paid_minor - facts.refunded_minor and verdict.amount_minor % step == 0
    if without.outcome is not Outcome.DECLINE:
        assert verdict.outcome is not Outcome.DECLINE
    if verdict.by_law is None:
        assert verdict_bytes(verdict) == verdict_bytes(without)
    else:
        assert facts.buyer_kind != "business" and facts.country in ("DE", "GB", "NO")
        assert explain_line(verdict, document, facts, ENGLISH).sentence.startswith("The law ")
    assert evaluate(document, facts, step, floor_of(verdict.as_json())) == verdict
