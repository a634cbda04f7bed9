"""The books: who may see them, what they sum up, the journal to download, the credit notes."""

from __future__ import annotations

import csv
import io
from datetime import timedelta

import pytest
from django.urls import reverse

from refund_plugin import clock
from refund_plugin.events.services import deliver_due
from refund_plugin.orders.models import Payment
from refund_plugin.refunds.calls import drive_refunds
from refund_plugin.refunds.ledger.models import CreditNote
from refund_plugin.refunds.ledger.verify import run_duty
from refund_plugin.refunds.models import RefundRequest
from refund_plugin.refunds.people import staff_actor
from refund_plugin.refunds.review import approve_request
from refund_plugin.stores.models import Store
from tests.factories import SALE, make_purchase
from tests.refunds.helpers import ask

pytestmark = pytest.mark.django_db

PAGES = ["index", "journal", "credit_notes", "credit_notes_results", "credit_note"]


@pytest.fixture
def note(make_case, make_user):
    """The credit note of 18.20 EUR that went to a customer."""
    case = make_case()
    approve_request(request_id=case.pk, by=staff_actor(make_user("lee"), case.store), reason="Fine.", now=clock.now())
    drive_refunds()
    while deliver_due():
        pass
    return CreditNote.objects.get()


@pytest.fixture
def bookkeeper(make_user, sign_in):
    return sign_in(make_user("books", ["view_books"]))


def url(name, note):
    return reverse(f"refund_books:{name}", args=[note.pk] if name == "credit_note" else [])


@pytest.mark.parametrize("name", PAGES)
def test_a_bookkeeper_opens_every_page_and_no_case(note, bookkeeper, name):
    assert bookkeeper.get(url(name, note)).status_code == 200
    assert bookkeeper.get(reverse("refund_cases:index")).status_code == 302


@pytest.mark.parametrize("name", PAGES)
def test_without_the_permission_no_page_opens(note, staff, name):
    response = staff.get(url(name, note))
    assert (response.status_code, response["Location"]) == (302, reverse("wagtailadmin_home"))


def test_the_page_sums_up_this_month_by_account(note, bookkeeper):
    page = bookkeeper.get(url("index", note)).content.decode()
    assert "Owed to customers" in page
    assert "€18.20" in page
    assert "Nothing was booked" in bookkeeper.get(url("index", note), {"first": "2020-01-01", "last": "2020-01-31"}).content.decode()


def test_the_store_of_self_tests_is_not_offered(note, bookkeeper):
    Store.objects.create(slug="selftest", name="Self-test shop", timezone="UTC", is_internal=True)
    assert "Self-test shop" not in bookkeeper.get(url("index", note)).content.decode()


def test_a_period_that_ends_before_it_begins_is_refused(note, bookkeeper):
    backwards = {"first": "2026-03-02", "last": "2026-03-01"}
    assert "before the first" in bookkeeper.get(url("index", note), backwards).content.decode()
    assert bookkeeper.get(url("journal", note), backwards).status_code == 404


def test_the_journal_is_a_file_that_balances(note, bookkeeper):
    response = bookkeeper.get(url("journal", note))
    *rows, total = csv.DictReader(io.StringIO(response.getvalue().decode()))
    assert response["Content-Disposition"].startswith('attachment; filename="refunds-')
    assert len(rows) == 5
    assert total["debit"] == total["credit"] == "36.40"


def test_a_difference_in_the_books_is_told_on_their_page(note, bookkeeper):
    Payment.objects.update(gone_minor=1)
    run_duty(clock.now())
    assert "differ from the rows behind them" in bookkeeper.get(url("index", note)).content.decode()


def test_the_document_shows_lines_tax_and_whom_it_is_for(note, bookkeeper):
    page = bookkeeper.get(url("credit_note", note)).content.decode()
    for text in (note.label, "The Slow Web", "€17.01", "€1.19", "€18.20", "ada@example.com"):
        assert text in page
    assert bookkeeper.get(reverse("refund_books:credit_note", args=[note.pk + 1])).status_code == 404


def test_the_list_is_searched_by_number_and_order(note, bookkeeper):
    listing = reverse("refund_books:credit_notes_results")
    assert note.label in bookkeeper.get(listing, {"q": note.label}).content.decode()
    assert note.label in bookkeeper.get(listing, {"q": note.refund.payment.purchase.number}).content.decode()
    assert note.label not in bookkeeper.get(listing, {"q": "nothing"}).content.decode()


def test_the_case_page_shows_the_document_and_links_it_for_those_who_may_see_it(note, staff, make_user, sign_in):
    case = reverse("refund_cases:case", args=[note.refund.request_id])
    link = reverse("refund_books:credit_note", args=[note.pk])
    page = staff.get(case).content.decode()
    assert note.label in page and link not in page
    assert link in sign_in(make_user("both", ["view_cases", "view_books"])).get(case).content.decode()


def test_a_withdrawal_says_until_when_the_money_is_due_in_the_list_and_on_its_page(make_case, staff):
    ordinary, now = make_case(), clock.now()
    purchase = make_purchase(lines=[SALE], purchased_at=now - timedelta(days=2))
    withdrawal = ask(purchase, withdrawal=True, now=now)
    listing = staff.get(reverse("refund_cases:index"))
    assert [row.pk for row in listing.context["object_list"]] == [withdrawal.pk, ordinary.pk]
    page = staff.get(reverse("refund_cases:case", args=[withdrawal.pk])).content.decode()
    assert "the law wants the money back by" in page
    assert "declared a statutory withdrawal" in page


def test_staff_record_a_withdrawal_that_came_by_mail_or_telephone(policy, staff):
    purchase = make_purchase(lines=[SALE])
    url = reverse("refund_purchases:purchase", args=[purchase.pk])
    asked = {"reason": "other", "submission_key": "k", "withdrawal": "on", f"quantity_{purchase.lines.get().pk}": 1}
    assert staff.post(url, asked).status_code == 302
    request = RefundRequest.objects.get()
    assert (request.is_withdrawal, request.state) == (True, "in_review")
