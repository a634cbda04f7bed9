"""A store that shows how much was used is told when it changes; once, and never of what it said itself."""

from __future__ import annotations

from datetime import timedelta

import pytest

from refund_plugin import clock, duties
from refund_plugin.actor import SYSTEM
from refund_plugin.events.services import deliver_due
from refund_plugin.orders.access import correct_access, record_access
from refund_plugin.orders.models import AccessEvent, AccessKind, CorrectionReason, PurchaseLine
from refund_plugin.refunds.access import use
from refund_plugin.refunds.access.models import AccessState
from refund_plugin.refunds.access.services import tell_stores
from refund_plugin.stores.base import LineAccess, StoreUnavailable
from refund_plugin.stores.registry import register_store_adapter
from tests.factories import EBOOK, LICENCE, NOW, make_purchase

pytestmark = pytest.mark.django_db


class Showing:
    """A store whose staff see how much was used."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int]] = []
        self.error: Exception | None = None

    def keeps_access(self) -> bool:
        return True

    def shows_use(self) -> bool:
        return True

    def keeps_refunds(self) -> bool:
        return False

    def set_access(self, access: LineAccess) -> None:
        if self.error is not None:
            raise self.error
        assert access.usable == access.quantity
        self.told.append((access.line_id, access.downloads))


@pytest.fixture
def showing() -> Showing:
    adapter = Showing()
    register_store_adapter("showing", adapter)
    return adapter


@pytest.fixture
def line(showing: Showing) -> PurchaseLine:
    purchase = make_purchase(lines=[EBOOK, LICENCE])
    purchase.store.adapter = "showing"
    purchase.store.save()
    return purchase.lines.first()


def download(line: PurchaseLine, name: str, *, source: str = "shop") -> AccessEvent:
    return record_access(line=line, kind=AccessKind.DOWNLOADED, source_id=name, source=source, occurred_at=NOW)


def follow() -> int:
    """Follow what was recorded, when it can be sure that nothing older is missing, and tell the store."""
    with clock.travel(timedelta(seconds=use.SETTLED_SECONDS + 1)):
        found = use.follow_use(clock.now())
        tell_stores(clock.now())
    return found


def test_a_store_learns_once_how_often_a_line_was_downloaded(line, showing):
    download(line, "one")
    download(line, "two")
    assert follow() == 1
    assert showing.told == [(line.pk, 2)]
    assert follow() == 0
    assert len(showing.told) == 1


def test_what_is_recorded_later_is_told_too(line, showing):
    download(line, "one")
    follow()
    download(line, "two")
    follow()
    assert showing.told == [(line.pk, 1), (line.pk, 2)]


def test_a_fact_that_may_have_an_older_neighbour_under_way_is_left_for_later(line, showing):
    download(line, "one")
    assert use.follow_use(clock.now()) == 0
    assert follow() == 1


def test_what_the_store_told_itself_is_not_told_back(line, showing):
    download(line, "one", source="showing")
    assert follow() == 0
    assert showing.told == []


def test_more_facts_than_one_run_takes_are_told_by_the_next(line, showing, monkeypatch):
    monkeypatch.setattr(use, "AT_ONCE", 2)
    for name in ("one", "two", "three"):
        download(line, name)
    assert [follow(), follow(), follow()] == [1, 1, 0]
    assert showing.told[-1] == (line.pk, 3)


def test_a_correction_is_told(line, showing):
    fact = download(line, "one")
    follow()
    correct_access(fact_id=fact.pk, reason=CorrectionReason.FAILED, note="It broke off.", by=SYSTEM, now=NOW)
    while deliver_due():
        pass
    tell_stores(clock.now())
    assert showing.told[-1] == (line.pk, 0)


def test_a_store_that_does_not_answer_is_told_again(line, showing):
    showing.error = StoreUnavailable("down")
    download(line, "one")
    follow()
    state = AccessState.objects.get()
    assert (state.failures, state.last_error, showing.told) == (1, "down", [])
    showing.error = None
    with clock.travel(timedelta(hours=2)):
        tell_stores(clock.now())
    assert showing.told == [(line.pk, 1)]


def test_a_shop_that_tells_us_of_use_is_not_told_back(policy):
    line = make_purchase().lines.first()
    download(line, "one")
    assert follow() == 0
    assert not AccessState.objects.exists()


def test_a_run_without_news_costs_three_statements(line, showing, django_assert_num_queries):
    download(line, "one")
    follow()
    with clock.travel(timedelta(seconds=use.SETTLED_SECONDS + 1)), django_assert_num_queries(3):
        assert use.follow_use(clock.now()) == 0


def test_the_sweep_follows_what_was_used():
    assert "follow_use" in {duty.name for duty in duties.duties()}
