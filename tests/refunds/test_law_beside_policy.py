"""Requests of consumers whose law gives them more than the policy: decided, recorded and told by that law."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.core import checks

from refund_plugin.models import Decision, RefundRequest
from refund_plugin.orders.access import record_access
from refund_plugin.orders.models import Purchase
from refund_plugin.policies.consent import confirm_consent, record_consent
from refund_plugin.refunds.law import REIMBURSE_WITHIN
from refund_plugin.refunds.quote import quote_purchase
from refund_plugin.rules import floor_presets, register_floor_preset
from refund_plugin.web.track import _lines
from tests.factories import BOUGHT, MEMORY, NOW, SALE, make_purchase
from tests.refunds.helpers import ask


def sold_in(country: str, **values: object) -> Purchase:
    purchase = make_purchase(lines=(SALE,), **values)
    purchase.country = country
    purchase.save(update_fields=["country"])
    return purchase


def agree(purchase: Purchase, *, confirm: bool) -> None:
    consent = record_consent(
        store=purchase.store,
        line=purchase.lines.get(),
        wording="At once, please; I know what that ends.",
        locale="en",
        agreed_to_begin=True,
        acknowledged=True,
        given_at=purchase.purchased_at,
        source_id=purchase.number,
        now=NOW,
    )
    if confirm:
        confirm_consent(consent=consent, confirmed_at=purchase.purchased_at, now=NOW)


def test_what_the_policy_excludes_is_refunded_to_a_consumer_who_withdraws_and_the_money_has_its_last_day(policy):
    request = ask(sold_in("DE"))
    assert (request.state, request.is_withdrawal, request.reimburse_by) == ("approved", True, NOW + REIMBURSE_WITHIN)
    verdict = Decision.objects.get(request=request).verdicts[0]
    assert (verdict["clause_kind"], verdict["floor"]["source"]) == ("statutory_floor", "Directive 2011/83/EU, article 9")


@pytest.mark.parametrize("country", ["US", ""])
def test_elsewhere_the_policy_decides_and_nothing_is_a_withdrawal(policy, country):
    request = ask(sold_in(country))
    assert (request.state, request.is_withdrawal) == ("declined", False)


def test_elsewhere_a_shop_may_let_a_law_count_too(policy, settings):
    settings.REFUND_PLUGIN = {**MEMORY, "FLOOR_ELSEWHERE": "uk"}
    assert ask(sold_in("US")).state == "approved"


@pytest.mark.parametrize(("consent", "state"), [("proven", "declined"), ("not confirmed", "approved"), ("nobody knows", "in_review")])
def test_a_download_ends_the_right_only_with_consent_that_the_ledger_proves(policy, consent, state):
    purchase = sold_in("FR")
    if consent != "nobody knows":
        agree(purchase, confirm=consent == "proven")
    record_access(line=purchase.lines.get(), kind="downloaded", source_id="1", occurred_at=BOUGHT + timedelta(hours=1))
    assert ask(purchase).state == state


def test_a_reported_fault_is_looked_at_long_after_the_days_to_withdraw_though_nothing_is_refundable(policy):
    long_ago = NOW - timedelta(days=400)
    assert ask(sold_in("DE", purchased_at=NOW - timedelta(days=300)), reason="changed_mind").state == "declined"
    request = ask(sold_in("DE", purchased_at=long_ago + timedelta(days=100)), reason="defective")
    assert (request.state, request.is_withdrawal) == ("in_review", False)
    assert Decision.objects.get(request=request).verdicts[0]["amount_minor"] == 900


def test_the_tracking_page_tells_the_law_of_the_day_of_the_decision_after_the_preset_has_changed(policy, formatter):
    request = ask(sold_in("DE"))
    eu = floor_presets()["eu"]
    register_floor_preset(replace(eu, floor=replace(eu.floor, withdrawal_days=1)))
    try:
        [line] = _lines(RefundRequest.objects.get(pk=request.pk), formatter)
        assert line.explanation.sentence.startswith("The law gives you more than this policy: You may change your mind within 14 days")
        assert (line.clause_url, line.explanation.headline) == ("", "You can get €9.00 back")
    finally:
        register_floor_preset(eu)


def test_the_path_for_what_does_not_work_is_open_to_consumers_whatever_the_policy_says(policy):
    old = NOW - timedelta(days=200)
    for country, amount in (("DE", 900), ("US", None)):
        quote = quote_purchase(purchase=sold_in(country, purchased_at=old), now=NOW)
        faulty = quote.if_faulty(quote.lines[0])
        assert (faulty.amount_minor if faulty else None) == amount


@pytest.fixture
def formatter():
    from refund_plugin.localize import formatter_for

    return formatter_for(timezone="UTC", locale="en")


def test_a_law_that_nobody_knows_is_found_by_the_checks_with_the_line_that_fixes_it(settings):
    def found() -> list[str]:
        return [each.hint for each in checks.run_checks(tags=["refund_plugin"]) if each.id == "refund_plugin.E010"]

    assert found() == []
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "FLOOR_ELSEWHERE": "atlantis"}
    [hint] = found()
    assert 'REFUND_PLUGIN["FLOOR_ELSEWHERE"]' in hint and "uk" in hint
