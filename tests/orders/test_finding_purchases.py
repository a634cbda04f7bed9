from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from refund_plugin.errors import NotFound
from refund_plugin.events.models import Event
from refund_plugin.orders.access import record_access
from refund_plugin.orders.data import Usage
from refund_plugin.orders.queries import find_purchase, purchases_of_customer, purchases_of_user, usage_of
from refund_plugin.orders.services import ask_for_purchase_list, record_purchase
from tests.orders.examples import BOUGHT, NOW, order


@pytest.fixture
def purchase(store):
    return record_purchase(store=store, data=order("Ab-1042"), now=NOW)[0]


@pytest.mark.parametrize("number", ["Ab-1042", "ab-1042", " #AB-1042 ", "# ab-1042"])
@pytest.mark.parametrize("email", ["ada@example.com", " ADA@example.COM "])
def test_number_and_address_are_found_however_people_write_them(purchase, number, email):
    assert find_purchase(store_slug="default", number=number, email=email) == purchase


@pytest.mark.parametrize(
    ("number", "email"),
    [
        ("Ab-1042", "bob@example.com"),
        ("Ab-1043", "ada@example.com"),
        ("%", "ada@example.com"),
        ("Ab_1042", "ada@example.com"),
        ("", "ada@example.com"),
        ("Ab-1042\x00", "ada@example.com"),
        ("Ab-1042", ""),
        ("x" * 300, "ada@example.com"),
    ],
)
def test_an_unknown_number_and_a_wrong_address_get_one_answer(purchase, number, email):
    with pytest.raises(NotFound) as caught:
        find_purchase(store_slug="default", number=number, email=email)

    assert str(caught.value) == str(NotFound())


def test_unknown_and_wrong_run_the_same_single_statement(purchase):
    asked = []
    for number, email in [("Ab-1042", "bob@example.com"), ("Zz-9999", "ada@example.com")]:
        with (
            CaptureQueriesContext(
                connection,
            ) as queries,
            pytest.raises(NotFound),
        ):
            find_purchase(store_slug="default", number=number, email=email)
        asked.append([query["sql"].replace(number, "N").replace(email, "E") for query in queries])

    assert len(asked[0]) == 1
    assert asked[0] == asked[1]


def test_a_purchase_of_another_store_is_not_found(purchase):
    with pytest.raises(NotFound):
        find_purchase(store_slug="other", number="Ab-1042", email="ada@example.com")


def test_numbers_that_differ_in_case_only_are_told_apart_by_an_exact_match(store, purchase):
    lower, _created = record_purchase(store=store, data=order("ab-1042", purchased_at=BOUGHT - timedelta(days=9)), now=NOW)

    assert find_purchase(store_slug="default", number="ab-1042", email="ada@example.com") == lower
    assert find_purchase(store_slug="default", number="Ab-1042", email="ada@example.com") == purchase


def test_a_customers_purchases_come_newest_first_in_two_statements(store, purchase, django_assert_num_queries):
    newer, _created = record_purchase(store=store, data=order("2", purchased_at=BOUGHT + timedelta(days=1)), now=NOW)
    record_purchase(store=store, data=order("3", email="bob@example.com"), now=NOW)

    with django_assert_num_queries(2):
        found = [(row.number, row.customer.email, len(row.lines.all())) for row in purchases_of_customer(newer.customer)]

    assert found == [("2", "ada@example.com", 2), ("Ab-1042", "ada@example.com", 2)]


def test_a_user_sees_only_purchases_that_were_linked_to_them(store, purchase):
    user = get_user_model().objects.create_user("ada", email="ada@example.com")
    assert not purchases_of_user(user, store).exists()

    record_purchase(store=store, data=order("2", email="work@example.com", user_id=user.pk), now=NOW)
    assert [row.number for row in purchases_of_user(user, store)] == ["2"]


def test_buying_with_someone_elses_address_hands_over_none_of_their_purchases(store):
    victim, mallory = (get_user_model().objects.create_user(name) for name in ("victim", "mallory"))
    record_purchase(store=store, data=order("guest"), now=NOW)
    record_purchase(store=store, data=order("signed-in", user_id=victim.pk), now=NOW)
    record_purchase(store=store, data=order("typed", user_id=mallory.pk), now=NOW)

    assert [row.number for row in purchases_of_user(mallory, store)] == ["typed"]
    assert [row.number for row in purchases_of_user(victim, store)] == ["signed-in"]


def test_use_is_summed_per_line_in_one_statement(purchase, django_assert_num_queries):
    ebook, course = purchase.lines.all()
    facts = [("downloaded", 1), ("downloaded", 2), ("viewed", 30), ("streamed", 75), ("viewed", 40), ("activated", 1), ("consumed", 4)]
    for index, (kind, amount) in enumerate([*facts, ("consumed", 3)]):
        record_access(line=ebook, kind=kind, amount=amount, source_id=str(index), occurred_at=BOUGHT + timedelta(hours=index))

    with django_assert_num_queries(1):
        usage = usage_of([ebook, course])

    assert usage[ebook.pk] == Usage(
        downloads=3, share_viewed_percent=75, activations=1, units_used=7, last_access_at=BOUGHT + timedelta(hours=7)
    )
    assert usage[course.pk] == Usage()
    assert usage_of([]) == {}


def test_asking_for_the_list_of_purchases_does_the_same_for_known_and_unknown_addresses(store, purchase):
    counts = []
    for email in ["Ada@example.com ", "nobody@example.com", "\x00" + "x" * 400]:
        with CaptureQueriesContext(connection) as queries:
            ask_for_purchase_list(store=store, email=email, now=NOW)
        counts.append([query["sql"].split()[0] for query in queries])

    assert counts[0] == counts[1] == counts[2]
    events = Event.objects.filter(kind="purchase_list_asked")
    assert [event.payload for event in events] == [{"customer_id": purchase.customer_id}, {"customer_id": None}, {"customer_id": None}]
