"""Reasons for refunds, matched with a Saleor's pages on the versions that have them."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from refund_plugin.clock import now
from refund_plugin.refunds.models import RequestReason
from refund_plugin.saleor.data import ReasonData
from refund_plugin.saleor.reasons import match_reasons, page_of_reason, synchronise_reasons
from refund_plugin.saleor_app.reasons import our_reasons, synchronise_all
from tests.saleor.standin.traps import Fault

CREATE = ("MANAGE_PAGES", "MANAGE_PAGE_TYPES_AND_ATTRIBUTES", "MANAGE_SETTINGS")


def page(number: int, *, slug: str = "", title: str = "") -> ReasonData:
    """Return a page."""
    return ReasonData(id=f"page-{number}", slug=slug or f"slug-{number}", title=title or f"Title {number}")


def test_a_page_is_matched_by_the_settings_then_by_its_slug_then_by_its_title_in_any_language():
    pages = [page(1, slug="oops"), page(2, slug="refund-defective"), page(3, title="  i changed my MIND "), page(4, title="Es geht nicht")]
    wanted = {
        "bought_twice": ["I bought it twice"],
        "defective": ["It does not work", "Es geht nicht"],
        "changed_mind": ["I changed my mind"],
    }
    found = match_reasons(pages, wanted=wanted, chosen={"bought_twice": "oops"})
    assert {reason: match.id for reason, match in found.items()} == {
        "bought_twice": "page-1",
        "defective": "page-2",
        "changed_mind": "page-3",
    }
    by_title = match_reasons(pages[2:], wanted=wanted, chosen={"bought_twice": "gone"})
    assert {reason: match.id for reason, match in by_title.items()} == {"defective": "page-4", "changed_mind": "page-3"}


def test_pages_of_a_saleor_are_matched_and_kept(installed, saleor):
    saleor.add_reasons(["It does not work", "The dog ate it"])
    matched = synchronise_reasons(slug=installed.row.slug, wanted=our_reasons(), now=now())
    assert list(matched.pages) == ["defective"] and list(matched.others) == ["The dog ate it"]
    assert set(matched.missing) == set(RequestReason.values) - {"defective"}
    assert page_of_reason(installed.row.slug, "defective") == matched.pages["defective"].id
    assert page_of_reason(installed.row.slug, "other") == "" == page_of_reason("unknown", "defective")


def test_a_saleor_without_a_page_type_for_reasons_has_none(installed):
    matched = synchronise_reasons(slug=installed.row.slug, wanted=our_reasons(), now=now())
    assert (matched.page_type, dict(matched.pages)) == ("", {})


def test_what_is_missing_is_made_once_and_chosen(installed, saleor):
    installed.app.permissions.extend(CREATE)
    first = synchronise_reasons(slug=installed.row.slug, wanted=our_reasons(), now=now(), create=True)
    assert list(first.pages) == RequestReason.values and not first.missing
    assert [each.title for each in first.pages.values()] == [str(label) for label in RequestReason.labels]
    again = synchronise_reasons(slug=installed.row.slug, wanted=our_reasons(), now=now(), create=True)
    assert {reason: each.id for reason, each in again.pages.items()} == {reason: each.id for reason, each in first.pages.items()}
    assert len(saleor.world.page_types) == 1 and len(saleor.world.pages) == len(RequestReason.values)


def test_a_making_that_broke_off_is_finished_by_the_next_and_makes_nothing_twice(installed, saleor):
    installed.app.permissions.extend(CREATE)
    saleor.traps.add(Fault("drop", operation="PageCreate", executed=True, skip=1))
    with pytest.raises(Exception, match="PageCreate"):
        synchronise_reasons(slug=installed.row.slug, wanted=our_reasons(), now=now(), create=True)
    matched = synchronise_reasons(slug=installed.row.slug, wanted=our_reasons(), now=now(), create=True)
    assert not matched.missing
    assert len(saleor.world.page_types) == 1 and len(saleor.world.pages) == len(RequestReason.values)


def test_the_command_tells_what_is_what_and_which_permission_is_missing(installed, saleor):
    saleor.add_reasons(["It does not work"])
    out = StringIO()
    call_command("refunds_saleor_reasons", installed.row.slug, as_json=True, stdout=out)
    assert json.loads(out.getvalue())["pages"]["defective"]["title"] == "It does not work"
    with pytest.raises(CommandError, match="MANAGE_PAGES"):
        call_command("refunds_saleor_reasons", installed.row.slug, "--create", stdout=out)
    with pytest.raises(CommandError, match="refunds_saleor"):
        call_command("refunds_saleor_reasons", "unknown", stdout=out)


def test_a_saleor_that_does_not_answer_keeps_what_was_matched_and_stops_no_other_work(installed, saleor):
    saleor.add_reasons(["It does not work"])
    assert synchronise_all(now()) == 1
    saleor.traps.add(Fault("garbage", operation="RefundReasonType", times=9))
    assert synchronise_all(now()) == 0
    assert page_of_reason(installed.row.slug, "defective")
