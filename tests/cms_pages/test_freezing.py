"""Saving a policy page freezes what its live row holds, whatever the way it was published."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from wagtail.models import Locale, Page

from cms_pages.blocks import ClauseBlock, ClausesBlock, register_clause_block
from cms_pages.fields import ClausesField
from cms_pages.models import RefundPolicyPage
from refund_plugin import clock
from refund_plugin.policies.models import Policy, PolicyText, PolicyVersion
from refund_plugin.policies.queries import policy_for_key, texts_of, version_in_force
from refund_plugin.rules import LineFacts, Outcome, Reason, UnknownClause, evaluate
from tests.cms_pages.examples import EMPTY_SELECTOR, FOREIGN, document_at, guarantee, later, publish, refused, stored_clauses

pytestmark = pytest.mark.django_db


def test_publishing_freezes_a_version_for_the_shop(make_page, windows_at, store):
    assert windows_at() is None
    page = make_page(guarantee(30))
    assert windows_at() == [30]
    version = version_in_force(store_id=store.pk, at=clock.now())
    assert version.policy.key == str(page.translation_key)
    assert version.policy.store == store


def test_saving_the_live_page_again_makes_no_new_version(make_page):
    page = make_page(guarantee(30))
    page.save()
    publish(page)
    publish(page, title="Our refunds")
    assert PolicyVersion.objects.count() == 1
    assert Policy.objects.get().title == "Our refunds"


def test_purchases_made_before_keep_their_version(make_page, windows_at):
    page = make_page(guarantee(14))
    before = clock.now()
    publish(page, guarantee(30))
    assert windows_at(before) == [14]
    assert windows_at() == [30]


def test_a_draft_freezes_nothing(make_page, windows_at):
    page = make_page(guarantee(14))
    page.clauses = [guarantee(30)]
    page.save_revision()
    assert windows_at() == [14]
    assert PolicyVersion.objects.count() == 1


def test_a_page_that_was_never_published_makes_no_version(make_page):
    page = make_page(guarantee(14), live=False)
    page.save_revision()
    assert not PolicyVersion.objects.exists()


def test_saving_other_fields_only_freezes_nothing(make_page):
    page = make_page(guarantee(14))
    page.clauses = [guarantee(30)]
    page.save(update_fields=["title"])
    assert PolicyVersion.objects.count() == 1


def test_overwriting_a_revision_later_does_not_change_the_frozen_version(make_page, windows_at):
    page = make_page(guarantee(14))
    revision = page.save_revision()
    revision.publish()
    page = RefundPolicyPage.objects.get(pk=page.pk)
    page.clauses = [guarantee(99)]
    page.save_revision(overwrite_revision=revision)
    assert windows_at() == [14]


def test_a_scheduled_publication_freezes_when_it_goes_live(make_page, windows_at):
    page = publish(make_page(guarantee(14)))
    page.clauses = [guarantee(30)]
    page.go_live_at = later(hours=1)
    revision = page.save_revision()
    revision.publish()
    assert windows_at() == [14]
    assert PolicyVersion.objects.count() == 1

    page.revisions.filter(pk=revision.pk).update(
        approved_go_live_at=later(hours=-1), content={**revision.content, "go_live_at": later(hours=-1).isoformat()}
    )
    went_live = clock.now()
    call_command("publish_scheduled")
    assert windows_at() == [30]
    assert windows_at(went_live) == [14]


def test_scheduling_a_first_publication_freezes_nothing_yet(make_page):
    page = make_page(guarantee(14), live=False)
    page.go_live_at = later(hours=1)
    page.save_revision().publish()
    assert not PolicyVersion.objects.exists()


def test_the_editors_date_decides_when_a_version_begins(make_page, windows_at):
    page = make_page(guarantee(14))
    publish(page, guarantee(30), effective_from=later(days=10))
    assert windows_at() == [14]
    assert windows_at(later(days=11)) == [30]


def test_a_date_in_the_past_means_now(make_page, windows_at):
    before = clock.now()
    make_page(guarantee(14), effective_from=before - timedelta(days=5))
    assert windows_at(before) is None
    assert windows_at() == [14]


def test_the_first_version_can_be_dated_back_with_a_reason(make_page, windows_at):
    long_ago = later(days=-400)
    page = make_page(guarantee(14), founding_from=long_ago, founding_reason="It stood in our terms since then.")
    assert windows_at(later(days=-100)) == [14]
    publish(page, guarantee(30))
    assert windows_at(later(days=-100)) == [14]
    assert windows_at() == [30]


def test_dating_back_without_a_reason_has_no_effect_and_publishing_goes_on(make_page, windows_at):
    make_page(guarantee(14), founding_from=later(days=-400))
    assert windows_at(later(days=-100)) is None
    assert windows_at() == [14]


def test_unpublishing_closes_the_version(make_page, windows_at):
    page = make_page(guarantee(14))
    before = clock.now()
    page.unpublish()
    assert windows_at() is None
    assert windows_at(before) == [14]


def test_unpublishing_with_the_pages_above_closes_the_version(make_page, home, windows_at, editor):
    from wagtail.actions.unpublish_page import UnpublishPageAction

    make_page(guarantee(14))
    UnpublishPageAction(Page.objects.get(pk=home.pk), user=editor, include_descendants=True).execute()
    assert windows_at() is None


def test_expiry_closes_the_version(make_page, windows_at):
    page = make_page(guarantee(14))
    Page.objects.filter(pk=page.pk).update(expire_at=later(hours=-1))
    call_command("publish_scheduled")
    assert windows_at() is None


def test_deleting_the_page_closes_the_version_and_keeps_it(make_page, windows_at):
    page = make_page(guarantee(14))
    before = clock.now()
    page.delete()
    assert windows_at() is None
    assert windows_at(before) == [14]


def test_deleting_the_pages_above_closes_the_version(make_page, home, windows_at):
    make_page(guarantee(14))
    Page.objects.get(pk=home.pk).delete()
    assert windows_at() is None


def test_publishing_again_after_unpublishing_makes_a_new_version(make_page, windows_at):
    page = make_page(guarantee(14))
    page.unpublish()
    publish(RefundPolicyPage.objects.get(pk=page.pk))
    assert windows_at() == [14]
    assert [version.number for version in PolicyVersion.objects.order_by("number")] == [1, 2]


def test_a_copied_page_is_a_policy_of_its_own_that_no_shop_uses(make_page, windows_at):
    page = make_page(guarantee(14))
    copy = page.copy(update_attrs={"slug": "copy", "title": "Copy"})
    assert policy_for_key(str(copy.translation_key)).store is None
    publish(RefundPolicyPage.objects.get(pk=copy.pk), guarantee(99))
    assert windows_at() == [14]


def test_a_copy_does_not_inherit_dates(make_page):
    page = make_page(guarantee(14), effective_from=later(days=3), founding_from=later(days=-3), founding_reason="Because.")
    copy = page.copy(update_attrs={"slug": "copy"}, keep_live=False)
    assert (copy.effective_from, copy.founding_from, copy.founding_reason) == (None, None, "")


def test_an_alias_makes_no_versions_and_shows_the_originals(make_page, client, windows_at):
    page = make_page(guarantee(14))
    alias = page.create_alias(update_slug="alias")
    publish(page, guarantee(30))
    assert Policy.objects.count() == 1
    assert PolicyVersion.objects.count() == 2
    assert "30 days" in client.get(alias.url).content.decode()
    alias.delete()
    assert windows_at() == [30]


def test_a_failed_save_freezes_nothing(make_page):
    page = make_page(guarantee(14))
    page.clauses = [guarantee(30)]
    page.slug = ""
    page.title = ""
    with pytest.raises(Exception, match="title"):
        page.save()
    assert PolicyVersion.objects.count() == 1


# -- translations ---------------------------------------------------------------------------------------------------


@pytest.fixture
def german(home) -> Locale:
    locale = Locale.objects.get_or_create(language_code="de")[0]
    home.copy_for_translation(locale).save_revision().publish()
    return locale


def test_a_translation_adds_texts_and_never_a_version(make_page, german, windows_at, store):
    page = make_page(guarantee(14, anchor="guarantee"))
    translation = page.copy_for_translation(german)
    translation.clauses = [guarantee(99, anchor="guarantee")]
    publish(translation, prose={"guarantee": {"title": "Geld zurück", "body": "Ohne Wenn und Aber."}})
    assert windows_at() == [14]
    version = PolicyVersion.objects.get()
    assert texts_of(version=version, locale="de") == {"guarantee": {"title": "Geld zurück", "body": "Ohne Wenn und Aber."}}


def test_the_clauses_of_a_translation_follow_the_source(make_page, german):
    page = make_page(guarantee(14, anchor="guarantee"))
    translation = page.copy_for_translation(german)
    publish(page, guarantee(30, anchor="guarantee"))
    translation.refresh_from_db()
    assert [child.value["window_days"] for child in translation.clauses] == [30]
    translation.clauses = [guarantee(99)]
    translation.save()
    assert [child.value["window_days"] for child in RefundPolicyPage.objects.get(pk=translation.pk).clauses] == [30]


def test_a_new_version_takes_the_words_of_live_translations_with_it(make_page, german):
    page = make_page(guarantee(14, anchor="guarantee"))
    publish(page.copy_for_translation(german), prose={"guarantee": {"body": "Ohne Wenn und Aber."}})
    publish(page, guarantee(30, anchor="guarantee"))
    version = PolicyVersion.objects.get(number=2)
    assert texts_of(version=version, locale="de") == {"guarantee": {"body": "Ohne Wenn und Aber."}}


def test_unpublishing_or_deleting_a_translation_leaves_the_policy(make_page, german, windows_at):
    page = make_page(guarantee(14))
    translation = publish(page.copy_for_translation(german))
    translation.unpublish()
    assert windows_at() == [14]
    RefundPolicyPage.objects.get(pk=translation.pk).delete()
    assert windows_at() == [14]


def test_new_words_make_no_new_version(make_page):
    page = make_page(guarantee(14, anchor="guarantee"))
    publish(page, prose={"guarantee": {"body": "Truly."}})
    publish(page, prose={"guarantee": {"body": "Really."}})
    assert PolicyVersion.objects.count() == 1
    assert PolicyText.objects.count() == 2


# -- anchors --------------------------------------------------------------------------------------------------------


def anchors(page: RefundPolicyPage) -> list[str]:
    return [child.value["anchor"] for child in RefundPolicyPage.objects.get(pk=page.pk).clauses]


def test_anchors_are_made_once_and_are_unique(make_page):
    page = make_page(guarantee(30, title="Change your mind"), guarantee(14), guarantee(7))
    assert anchors(page) == ["change-your-mind", "money-back", "money-back-2"]


def test_an_anchor_stays_when_its_clause_is_renamed_or_moved(make_page):
    page = make_page(guarantee(30, title="First"), guarantee(14, title="Second"))
    stored = page.clauses.stream_block.get_prep_value(page.clauses)
    stored[0]["value"]["title"] = "Renamed"
    publish(page, stored[1], stored[0])
    assert anchors(page) == ["second", "first"]


def test_a_duplicated_clause_gets_an_anchor_of_its_own(make_page):
    page = make_page(guarantee(30, title="Same", anchor="same"), guarantee(14, title="Same", anchor="same"))
    assert anchors(page) == ["same", "same-2"]


# -- content that cannot be read ------------------------------------------------------------------------------------


def test_a_clause_of_a_plugin_that_is_not_installed_survives_every_save_as_it_was(make_page, client):
    page = make_page(guarantee(14), FOREIGN)
    assert stored_clauses(page)[1] == FOREIGN
    page = RefundPolicyPage.objects.get(pk=page.pk)
    page = publish(page)
    page.save()
    assert json.dumps(stored_clauses(page)[1]) == json.dumps(stored_clauses(make_page(FOREIGN, slug="other"))[0])
    assert json.loads(page.get_latest_revision().content["clauses"])[1] == FOREIGN


def test_a_clause_that_is_not_understood_sends_its_purchases_to_a_person(make_page, store):
    make_page(FOREIGN, guarantee(14))
    document = document_at(store)
    assert isinstance(document.clauses[0], UnknownClause)
    assert document.clauses[0].anchor == "loyal"
    now = clock.now()
    verdict = evaluate(document, LineFacts(line_id="1", currency="EUR", paid_minor=1000, purchased_at=now, now=now))
    assert (verdict.outcome, verdict.reason) == (Outcome.REVIEW, Reason.UNKNOWN_CLAUSE)


def test_a_version_frozen_without_the_plugin_reads_the_same_when_it_is_installed_later(make_page, store):
    from refund_plugin.rules import MoneyBack, register_clause, unregister_clause

    make_page(FOREIGN)
    before = document_at(store)

    class Loyalty(MoneyBack):
        kind = "loyalty"

    register_clause(Loyalty)
    try:
        assert document_at(store) == before
    finally:
        unregister_clause("loyalty")


def test_a_page_with_unfinished_clauses_publishes_and_those_clauses_go_to_a_person(make_page, store):
    make_page(guarantee(None), guarantee(14))
    first, second = document_at(store).clauses
    assert isinstance(first, UnknownClause)
    assert second.window_days == 14


def test_a_page_without_clauses_does_not_stop_a_run_of_scheduled_publishing(make_page, store):
    make_page()
    assert document_at(store).clauses == ()


def test_a_limit_is_frozen_in_minor_units(make_page, store):
    page = make_page(guarantee(14))
    limit = {"type": "limit", "value": {"currency": "EUR", "amount": "99.50"}}
    yen = {"type": "limit", "value": {"currency": "JPY", "amount": "12000"}}
    publish(page, limits=[limit, yen])
    assert dict(document_at(store).auto_approve_limit) == {"EUR": 9950, "JPY": 12000}


def test_a_limit_that_cannot_be_read_sends_everything_to_a_person(make_page, store):
    make_page(guarantee(14), limits=[{"type": "limit", "value": {"currency": "EUR", "amount": "1.001"}}])
    assert dict(document_at(store).auto_approve_limit) == {"EUR": 0}


def test_the_selector_is_frozen_as_written(make_page, store):
    selector = {**EMPTY_SELECTOR, "product_types": "ebook, course ,", "countries": "de, fr", "nature": "content", "price_to_minor": 5000}
    make_page(guarantee(14, selector=selector))
    frozen = document_at(store).clauses[0].selector
    assert frozen.product_types == {"ebook", "course"}
    assert frozen.countries == {"DE", "FR"}
    assert (frozen.nature, frozen.price_from_minor, frozen.price_to_minor) == ("content", None, 5000)


def test_every_kind_of_clause_is_frozen_with_its_values(make_page, store):
    unused = {"type": "unused_only", "value": {"selector": EMPTY_SELECTOR, "window_days": 14, "max_downloads": 1, "percent": 80}}
    shared = {"max_share_viewed_percent": 20, "max_activations": 2, "outcome": "review", "title": "", "anchor": "unused"}
    unused["value"] |= shared
    prorated = {"type": "pro_rated", "value": {"selector": EMPTY_SELECTOR, "title": "", "anchor": "rest", "by": "unit", "fee_percent": 10}}
    prorated["value"] |= {"window_days": None, "percent": 100, "outcome": "approve"}
    make_page(refused(), unused, prorated, guarantee(30))
    final, opened, rest, rest_of_all = document_at(store).clauses
    assert final.reason == "It was sold at a final discount."
    assert (opened.window_days, opened.max_downloads, opened.max_share_viewed_percent, opened.max_activations) == (14, 1, 20, 2)
    assert (opened.percent, opened.outcome) == (80, "review")
    assert (rest.by, rest.window_days, rest.fee_percent) == ("unit", None, 10)
    assert rest_of_all.window_days == 30


def test_a_plugins_kind_of_clause_changes_no_migration():
    from cms_pages import blocks
    from refund_plugin.rules import MoneyBack

    before = ClausesField(blank=True).deconstruct()

    class Loyalty(MoneyBack):
        kind = "loyalty"

    class LoyaltyBlock(ClauseBlock):
        clause_class = Loyalty

    register_clause_block(LoyaltyBlock)
    try:
        assert "loyalty" in ClausesBlock().child_blocks
        assert ClausesField(blank=True).deconstruct() == before
    finally:
        del blocks._clause_blocks["loyalty"]
