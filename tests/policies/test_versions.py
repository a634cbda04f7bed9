"""Freezing, closing and assigning policies, and which version decides a purchase."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from refund_plugin.errors import InvalidInput, PolicyInvalid
from refund_plugin.policies.models import Policy, PolicyVersion
from refund_plugin.policies.queries import (
    load_version,
    load_version_in,
    policy_for_key,
    texts_of,
    upcoming_version,
    version_in_force,
    versions_of,
)
from refund_plugin.policies.services import add_text, assign_policy, close_policy, freeze_policy
from refund_plugin.rules import MoneyBack, NonRefundable, PolicyDocument, dump_document
from refund_plugin.stores.models import Store
from refund_plugin.stores.services import ensure_default_store

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 9, 13, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def days(window: int) -> str:
    """A policy whose only clause is a guarantee of so many days."""
    return dump_document(PolicyDocument((MoneyBack(anchor="guarantee", window_days=window),)))


@pytest.fixture
def store() -> Store:
    return ensure_default_store()


def publish(window: int, *, at: datetime, store: Store | None = None, key: str = "page", **options: object) -> PolicyVersion:
    return freeze_policy(key=key, title="Refunds", document=days(window), now=at, assign_to=store, **options)  # type: ignore[arg-type]


def window_at(store: Store, moment: datetime) -> int | None:
    """The window of the version that decides a purchase made at `moment`; None when a person decides."""
    version = version_in_force(store_id=store.pk, at=moment)
    return load_version(version).clauses[0].window_days if version else None  # type: ignore[attr-defined]


def test_publishing_the_same_again_makes_no_new_version(store):
    first = publish(30, at=NOW, store=store)
    again = publish(30, at=NOW + DAY, store=store)
    assert again == first
    assert PolicyVersion.objects.count() == 1


def test_the_same_clauses_written_in_another_order_of_keys_are_the_same_version(store):
    first = publish(30, at=NOW, store=store)
    reordered = first.document.replace('"format":1,', "").replace("{", '{"format": 1, ', 1)
    assert reordered != first.document
    again = freeze_policy(key="page", title="Refunds", document=reordered, now=NOW + DAY)
    assert again == first


def test_a_purchase_is_judged_by_the_version_in_force_when_it_was_made(store):
    publish(14, at=NOW, store=store)
    publish(30, at=NOW + 10 * DAY, store=store)
    assert window_at(store, NOW - DAY) is None
    assert window_at(store, NOW) == 14
    assert window_at(store, NOW + 10 * DAY - timedelta(microseconds=1)) == 14
    assert window_at(store, NOW + 10 * DAY) == 30


def test_a_version_never_begins_in_the_past(store):
    version = publish(30, at=NOW, store=store, effective_from=NOW - 5 * DAY)
    assert version.effective_from == NOW


def test_a_version_can_begin_later_and_the_old_one_decides_until_then(store):
    publish(14, at=NOW, store=store)
    later = publish(30, at=NOW + DAY, store=store, effective_from=NOW + 10 * DAY)
    assert upcoming_version(policy=later.policy, at=NOW + DAY) == later
    assert window_at(store, NOW + 9 * DAY) == 14
    assert window_at(store, NOW + 11 * DAY) == 30


def test_a_publication_replaces_one_that_has_not_begun(store):
    publish(14, at=NOW, store=store)
    publish(30, at=NOW + DAY, store=store, effective_from=NOW + 10 * DAY)
    publish(60, at=NOW + 2 * DAY, store=store, effective_from=NOW + 20 * DAY)
    assert window_at(store, NOW + 11 * DAY) == 14
    assert window_at(store, NOW + 21 * DAY) == 60


def test_moving_the_day_of_a_version_that_has_not_begun_moves_it(store):
    first = publish(30, at=NOW, store=store, effective_from=NOW + 10 * DAY)
    same = publish(30, at=NOW + DAY, store=store, effective_from=NOW + 10 * DAY)
    moved = publish(30, at=NOW + DAY, store=store, effective_from=NOW + 5 * DAY)
    assert same == first
    assert moved.number == 2
    assert window_at(store, NOW + 4 * DAY) is None
    assert window_at(store, NOW + 6 * DAY) == 30


def test_closing_sends_later_purchases_to_a_person_and_leaves_earlier_ones(store):
    publish(14, at=NOW, store=store)
    publish(30, at=NOW + 10 * DAY, store=store)
    close_policy(key="page", now=NOW + 20 * DAY)
    assert window_at(store, NOW + DAY) == 14
    assert window_at(store, NOW + 19 * DAY) == 30
    assert window_at(store, NOW + 20 * DAY) is None


def test_closing_also_ends_a_version_that_has_not_begun(store):
    publish(30, at=NOW, store=store, effective_from=NOW + 10 * DAY)
    close_policy(key="page", now=NOW + DAY)
    assert window_at(store, NOW + 11 * DAY) is None


def test_publishing_after_closing_makes_a_new_version_with_the_same_clauses(store):
    first = publish(30, at=NOW, store=store)
    close_policy(key="page", now=NOW + DAY)
    second = publish(30, at=NOW + 5 * DAY, store=store)
    assert (second.number, second.hash) == (2, first.hash)
    assert window_at(store, NOW + 3 * DAY) is None
    assert window_at(store, NOW + 6 * DAY) == 30


def test_the_first_version_can_be_dated_back_with_a_reason(store):
    founding = publish(30, at=NOW, store=store, founding_from=NOW - 365 * DAY, founding_reason="It stood in our terms since 2025.")
    assert founding.effective_from == NOW - 365 * DAY
    assert founding.founding_reason == "It stood in our terms since 2025."
    assert window_at(store, NOW - 100 * DAY) == 30


def test_dating_back_needs_a_reason_and_freezes_nothing_without(store):
    with pytest.raises(InvalidInput) as told:
        publish(30, at=NOW, store=store, founding_from=NOW - DAY, founding_reason="  ")
    assert told.value.field == "founding_reason"
    assert not PolicyVersion.objects.exists()


def test_only_the_first_version_can_be_dated_back(store):
    publish(14, at=NOW, store=store)
    second = publish(30, at=NOW + DAY, store=store, founding_from=NOW - 365 * DAY, founding_reason="Too late.")
    assert second.effective_from == NOW + DAY
    assert second.founding_reason == ""


def test_a_document_that_cannot_be_read_is_refused(store):
    with pytest.raises(PolicyInvalid):
        freeze_policy(key="page", title="Refunds", document='{"format": 99}', now=NOW)
    assert not PolicyVersion.objects.exists()


def test_a_store_keeps_its_first_policy_when_another_is_published(store):
    publish(14, at=NOW, store=store)
    publish(30, at=NOW + DAY, store=store, key="copy")
    assert policy_for_key("copy").store is None
    assert window_at(store, NOW + 2 * DAY) == 14


def test_a_policy_can_take_the_place_of_another_and_earlier_purchases_keep_their_version(store):
    publish(14, at=NOW, store=store)
    publish(30, at=NOW + DAY, store=store, key="copy")
    assigned = assign_policy(policy=policy_for_key("copy"), store=store, now=NOW + 10 * DAY)
    assert assigned.key == "copy"
    assert window_at(store, NOW + 9 * DAY) == 14
    assert window_at(store, NOW + 10 * DAY) == 30
    assert [version.number for version in versions_of(assigned)] == [2, 1]

    publish(60, at=NOW + 20 * DAY, key="copy")
    publish(90, at=NOW + 20 * DAY, key="page")
    assert window_at(store, NOW + 21 * DAY) == 60
    assert policy_for_key("page").store is None
    assert Policy.objects.count() == 2


def test_a_policy_of_another_shop_cannot_be_taken(store):
    other = Store.objects.create(slug="other", name="Other", timezone="UTC")
    publish(30, at=NOW, store=other)
    with pytest.raises(InvalidInput):
        assign_policy(policy=policy_for_key("page"), store=store, now=NOW)
    assert policy_for_key("page").store == other


def test_two_shops_have_policies_of_their_own(store):
    other = Store.objects.create(slug="other", name="Other", timezone="UTC")
    publish(14, at=NOW, store=store)
    publish(30, at=NOW, store=other, key="other")
    assert (window_at(store, NOW), window_at(other, NOW)) == (14, 30)


def test_finding_and_reading_a_version_costs_one_query(store, django_assert_num_queries):
    publish(30, at=NOW, store=store)
    with django_assert_num_queries(1):
        assert window_at(store, NOW) == 30


def test_texts_are_added_once_and_an_editor_can_go_back_to_an_earlier_wording(store):
    version = publish(30, at=NOW, store=store)
    first = add_text(version=version, locale="en", texts={"guarantee": {"body": "One."}}, now=NOW)
    assert add_text(version=version, locale="en", texts={"guarantee": {"body": "One."}}, now=NOW) == first
    add_text(version=version, locale="en", texts={"guarantee": {"body": "Two."}}, now=NOW)
    back = add_text(version=version, locale="en", texts={"guarantee": {"body": "One."}}, now=NOW)
    assert back != first
    assert back.hash != first.hash
    assert texts_of(version=version, locale="en") == {"guarantee": {"body": "One."}}
    assert texts_of(version=version, locale="de") == {}


def test_a_translation_changes_what_is_read_and_not_what_is_decided(store):
    document = dump_document(PolicyDocument((NonRefundable(anchor="sale", title="Sale", reason="It is cheap."),)))
    version = freeze_policy(key="page", title="Refunds", document=document, now=NOW)
    add_text(version=version, locale="de", texts={"sale": {"title": "Ausverkauf", "reason": "Es ist günstig."}}, now=NOW)
    german = load_version_in(version, "de").clauses[0]
    assert (german.title, german.reason) == ("Ausverkauf", "Es ist günstig.")  # type: ignore[attr-defined]
    assert load_version_in(version, "fr") == load_version(version)
    version.refresh_from_db()
    assert version.document == document
