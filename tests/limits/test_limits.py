from datetime import UTC, datetime, timedelta

import pytest

from refund_plugin.conf import Limit
from refund_plugin.errors import RateLimited
from refund_plugin.limits.models import Counter
from refund_plugin.limits.services import check_limits, forget_expired

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 12, 13, 0, tzinfo=UTC)
THREE = Limit(3, 60)


def ask(subject="ada@example.com", *, at=NOW, limit=THREE, scope="lookup"):
    check_limits(limits=[(scope, subject, limit)], now=at)


def test_the_try_after_the_last_allowed_one_is_refused_and_says_when_to_come_back():
    for _try in range(3):
        ask()
    with pytest.raises(RateLimited) as caught:
        ask(at=NOW + timedelta(seconds=20))

    assert caught.value.retry_after_seconds == 40


def test_a_new_window_begins_when_the_old_one_ended():
    for _try in range(3):
        ask()
    with pytest.raises(RateLimited):
        ask(at=NOW + timedelta(seconds=59))
    for _try in range(3):
        ask(at=NOW + timedelta(seconds=60))
    with pytest.raises(RateLimited):
        ask(at=NOW + timedelta(seconds=61))


def test_subjects_and_scopes_are_counted_apart():
    for _try in range(3):
        ask()
    ask("bob@example.com")
    ask(scope="mail")
    with pytest.raises(RateLimited):
        ask()


def test_all_subjects_of_one_try_are_counted_by_one_statement(django_assert_num_queries):
    limits = [
        ("lookup:address", "ada@example.com", THREE),
        ("lookup:order", "1042", THREE),
        ("lookup:network", "192.0.2.0/24", Limit(1, 600)),
    ]
    with django_assert_num_queries(1):
        check_limits(limits=limits, now=NOW)
    with pytest.raises(RateLimited) as caught:
        check_limits(limits=limits, now=NOW)

    assert caught.value.retry_after_seconds == 600
    assert sorted(Counter.objects.values_list("tries", flat=True)) == [2, 2, 2]


def watch(subject="ada@example.com", *, at=NOW, limit=THREE):
    check_limits(limits=[("lookup:network", "192.0.2.0/24", Limit(99, 600))], watched=[("lookup", subject, limit)], now=at)


def test_a_watched_subject_pays_nothing_and_refuses_once_its_limit_is_used_up(django_assert_num_queries):
    for _try in range(5):
        with django_assert_num_queries(1):
            watch()
    for _try in range(3):
        ask()
    with pytest.raises(RateLimited) as caught:
        watch(at=NOW + timedelta(seconds=20))
    assert caught.value.retry_after_seconds == 40
    watch(at=NOW + timedelta(seconds=60))


def test_watching_begins_no_window():
    watch()
    for _try in range(3):
        ask(at=NOW + timedelta(seconds=50))
    with pytest.raises(RateLimited):
        watch(at=NOW + timedelta(seconds=100))


def test_a_subject_that_cannot_be_written_is_counted_all_the_same():
    for _try in range(3):
        ask("\ud800")
    with pytest.raises(RateLimited):
        ask("\ud800")


def test_the_same_subject_named_twice_counts_once():
    check_limits(limits=[("lookup", "ada", THREE), ("lookup", "ada", THREE)], now=NOW)

    assert Counter.objects.get().tries == 1


def test_nothing_to_limit_asks_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        check_limits(limits=[], now=NOW)


def test_no_address_is_kept_and_another_secret_gives_other_keys(settings):
    ask()
    first = Counter.objects.get()
    settings.SECRET_KEY = "another" * 8
    ask()

    assert "ada" not in first.key
    assert Counter.objects.count() == 2


def test_only_counters_of_windows_that_ended_are_forgotten():
    ask("old")
    ask("new", at=NOW + timedelta(seconds=30))

    assert forget_expired(NOW + timedelta(seconds=60)) == 1
    assert Counter.objects.count() == 1
    assert forget_expired(NOW + timedelta(seconds=60)) == 0
