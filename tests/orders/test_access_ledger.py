"""The access ledger: told once, never changed, corrected by people with a reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from refund_plugin.actor import SYSTEM, Action, Actor, ActorKind
from refund_plugin.errors import InvalidInput, NotAllowed, NotFound, WrongState
from refund_plugin.events.models import Event
from refund_plugin.guards import AppendOnly
from refund_plugin.orders.access import MAX_UNITS, correct_access, correction_of, facts_of_use, record_access
from refund_plugin.orders.data import Usage
from refund_plugin.orders.models import AccessCorrection, AccessEvent, AccessKind
from refund_plugin.orders.queries import lines_with_usage, usage_of
from refund_plugin.orders.services import record_purchase
from tests.orders.examples import NOW, order

KINDS = st.sampled_from(AccessKind.values)


@pytest.fixture
def purchase(store):
    """An e-book and a course."""
    return record_purchase(store=store, data=order(), now=NOW)[0]


@pytest.fixture
def line(purchase):
    """The e-book."""
    return purchase.lines.first()


@pytest.fixture
def clerk(store):
    """Someone who may correct."""
    return Actor(kind=ActorKind.STAFF, id="9999", store_id=store.pk, actions=frozenset({Action.CORRECT_ACCESS}), email="sam@example.com")


def tell(line, **changes):
    return record_access(**{"line": line, "kind": "downloaded", "source_id": "log-7", "occurred_at": NOW, **changes})


def correct(fact, by, **changes):
    return correct_access(**{"fact_id": fact.pk, "reason": "failed", "note": "The log says 0 bytes.", "by": by, "now": NOW, **changes})


def test_two_who_tell_facts_of_the_same_name_told_two_facts(line):
    tell(line)
    tell(line, source="cdn")
    tell(line, source="cdn")

    assert usage_of([line])[line.pk].downloads == 2


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"amount": MAX_UNITS + 1}, "amount"),
        ({"kind": "activated", "amount": -1}, "amount"),
        ({"source": ""}, "source"),
        ({"source": "Our CDN"}, "source"),
        ({"source": "x" * 41}, "source"),
        ({"source_id": "\ud800"}, "source_id"),
        ({"occurred_at": NOW.replace(tzinfo=None)}, "occurred_at"),
    ],
)
def test_what_cannot_be_a_fact_is_refused(line, changes, field):
    with pytest.raises(InvalidInput) as caught:
        tell(line, **changes)

    assert caught.value.field == field
    assert not AccessEvent.objects.exists()


def test_a_corrected_fact_counts_nowhere_and_stays_in_the_ledger(purchase, line, clerk):
    kept = tell(line, source_id="kept", occurred_at=NOW - timedelta(days=2))
    for fact in (tell(line, source_id="failed"), tell(line, source_id="half", kind="viewed", amount=50)):
        correct(fact, clerk)

    expected = Usage(downloads=1, last_access_at=kept.occurred_at)
    assert usage_of([line])[line.pk] == expected
    assert {row.pk: usage for row, usage in lines_with_usage(purchase)}[line.pk] == expected
    assert AccessEvent.objects.count() == 3


def test_a_line_all_of_whose_use_is_corrected_was_not_used(purchase, line, clerk):
    correct(tell(line), clerk)

    assert usage_of([line])[line.pk] == Usage()
    assert [usage for _line, usage in lines_with_usage(purchase)] == [Usage(), Usage()]


def test_sums_over_corrections_take_one_statement(purchase, line, clerk, django_assert_num_queries):
    correct(tell(line), clerk)
    with django_assert_num_queries(1):
        lines_with_usage(purchase)
    with django_assert_num_queries(1):
        facts = list(facts_of_use([line.pk]))
        assert [correction_of(fact).reason for fact in facts] == ["failed"]


def test_telling_a_corrected_fact_again_does_not_bring_it_back(line, clerk):
    correct(tell(line), clerk)
    tell(line)

    assert usage_of([line])[line.pk].downloads == 0


def test_a_correction_is_made_once_and_told_once(line, clerk):
    fact = tell(line)
    correct(fact, clerk)
    with pytest.raises(WrongState):
        correct(fact, clerk, reason="twice")

    assert AccessCorrection.objects.get().reason == "failed"
    event = Event.objects.get(kind="access_corrected")
    assert (event.actor_kind, event.actor_id) == ("staff", "9999")
    assert event.payload == {"line": line.pk, "fact": fact.pk, "reason": "failed"}


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"actions": frozenset({Action.APPROVE})}, NotAllowed),
        ({"kind": ActorKind.CUSTOMER}, NotAllowed),
        ({"store_id": 0}, NotFound),
        ({"email": "ada@example.com"}, NotAllowed),
    ],
    ids=["another permission", "a customer", "another store's staff", "their own purchase"],
)
def test_who_may_not_correct_is_refused_and_nothing_changes(line, clerk, changes, error):
    fact = tell(line)
    with pytest.raises(error):
        correct(fact, replace(clerk, **changes))

    assert not AccessCorrection.objects.exists()
    assert not Event.objects.exists()


@pytest.mark.parametrize(("changes", "field"), [({"reason": "bored"}, "reason"), ({"note": "  "}, "note"), ({"note": "x" * 4001}, "note")])
def test_a_correction_says_why(line, clerk, changes, field):
    fact = tell(line)
    with pytest.raises(InvalidInput) as caught:
        correct(fact, clerk, **changes)

    assert caught.value.field == field
    assert not AccessCorrection.objects.exists()


def test_a_fact_that_is_not_there_cannot_be_corrected(store):
    with pytest.raises(NotFound):
        correct_access(fact_id=404, reason="failed", note="?", by=SYSTEM, now=NOW)


def test_rows_of_the_ledger_are_never_changed_or_deleted(line, clerk):
    correct(tell(line), clerk)
    for model in (AccessCorrection, AccessEvent):
        assert [guard for guard in model._meta.constraints if isinstance(guard, AppendOnly)]
        if connection.vendor == "sqlite":  # whose tables are emptied between tests by DELETE
            continue
        rows = model.objects.all()
        with pytest.raises(IntegrityError), transaction.atomic():
            rows.update(id=rows.get().pk)
        with pytest.raises(IntegrityError), transaction.atomic():
            rows._raw_delete(rows.db)


@hypothesis_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    facts=st.lists(
        st.tuples(
            st.sampled_from(AccessKind.values), st.integers(1, 100), st.sampled_from(["shop", "cdn"]), st.integers(0, 3), st.booleans()
        ),
        max_size=12,
    )
)
def test_sums_are_those_of_the_facts_that_were_told_first_and_not_corrected(line, facts):
    before = transaction.savepoint()
    told: dict[tuple[str, int], tuple[str, int]] = {}
    corrected: set[tuple[str, int]] = set()
    for kind, amount, source, name, wrong in facts:
        key = (source, name)
        known = told.setdefault(key, (kind, amount))
        if known != (kind, amount):
            with pytest.raises(InvalidInput):
                tell(line, kind=kind, amount=amount, source=source, source_id=str(name))
            continue
        fact = tell(line, kind=kind, amount=amount, source=source, source_id=str(name))
        if wrong and key not in corrected:
            correct(fact, SYSTEM)
            corrected.add(key)
    counting = [told[key] for key in told if key not in corrected]

    assert usage_of([line])[line.pk] == Usage(
        downloads=sum(amount for kind, amount in counting if kind == "downloaded"),
        share_viewed_percent=max((amount for kind, amount in counting if kind in ("viewed", "streamed")), default=0),
        activations=sum(amount for kind, amount in counting if kind == "activated"),
        units_used=sum(amount for kind, amount in counting if kind == "consumed"),
        last_access_at=NOW if counting else None,
    )
    transaction.savepoint_rollback(before)
