"""The page of the work list: download, claim, check and record."""

from __future__ import annotations

import csv
import io

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import translation
from django.utils.translation import get_language

from refund_plugin import clock
from refund_plugin.actor import SYSTEM
from refund_plugin.refunds.manual import worklist
from refund_plugin.refunds.models import Refund
from refund_plugin.refunds.review import approve_request
from refund_plugin.refunds.states import RefundState
from tests.staff.conftest import ALL

pytestmark = pytest.mark.django_db


@pytest.fixture
def url():
    return reverse("refund_by_hand:index")


@pytest.fixture
def payer(make_user, sign_in):
    return sign_in(make_user("petra", ("view_cases", "pay_by_hand")))


@pytest.fixture
def refunds(make_case):
    for number in range(2):
        case = make_case(email=f"customer{number}@example.com")
        approve_request(request_id=case.pk, by=SYSTEM, reason="Fine.", now=clock.now())
    return list(Refund.objects.all())


def rows_of(response):
    return list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode("utf-8-sig"))))


def upload(client, url, rows, *, record=False, **changes):
    made = io.StringIO()
    writer = csv.DictWriter(made, worklist.COLUMNS)
    writer.writeheader()
    for row in rows:
        writer.writerow({**row, "method": "bank", "paid_on": clock.now().date().isoformat(), "paid_reference": "T-1", **changes})
    file = SimpleUploadedFile("mine.csv", made.getvalue().encode(), content_type="text/csv")
    return client.post(url, {"file": file, **({"record": "on"} if record else {})})


def states():
    return set(Refund.objects.values_list("state", flat=True))


def test_the_page_tells_what_waits_and_the_download_claims_nothing(refunds, payer, url):
    page = payer.get(url).content.decode()
    assert "2 refunds can be paid by hand" in page and "€36.40" in page and "customer1@example.com" in page

    response = payer.get(url, {"download": "1"})

    assert len(rows_of(response)) == 2 and states() == {RefundState.RESERVED}
    assert "no-store" in response["Cache-Control"] and "attachment" in response["Content-Disposition"]


def test_a_list_is_claimed_checked_and_recorded(refunds, payer, url):
    rows = rows_of(payer.post(url, {"claim": "1"}))
    assert len(rows) == 2 and states() == {RefundState.MANUAL_CLAIMED}

    checked = upload(payer, url, rows).content.decode()
    assert "Every row is right." in checked and states() == {RefundState.MANUAL_CLAIMED}

    recorded = upload(payer, url, rows, record=True).content.decode()
    assert "Payments recorded: 2." in recorded and states() == {RefundState.MANUAL_PAID}
    assert "Nothing waits to be paid by hand" in recorded


def test_wrong_rows_are_named_and_nothing_is_recorded(refunds, payer, url):
    rows = rows_of(payer.post(url, {"claim": "1"}))

    told = upload(payer, url, rows, record=True, amount="1").content.decode()

    assert "Nothing was recorded." in told and "18.20 EUR, not what the list says" in told
    assert states() == {RefundState.MANUAL_CLAIMED}


def test_a_file_that_is_no_list_or_too_large_or_none_is_refused(refunds, payer, url, monkeypatch):
    told = payer.post(url, {"file": SimpleUploadedFile("x.csv", b"a,b\n")}).content.decode()
    assert "lacks these columns" in told
    assert "This field is required" in payer.post(url, {}).content.decode()
    monkeypatch.setattr("refund_plugin.staff.worklist.MAX_BYTES", 3)
    assert "larger than" in payer.post(url, {"file": SimpleUploadedFile("x.csv", b"a,b\n")}).content.decode()


def test_a_longer_list_costs_no_more_statements(refunds, payer, url, make_case, django_assert_num_queries):
    payer.get(url)
    with django_assert_num_queries(12):
        payer.get(url)
    for number in range(5):
        case = make_case(email=f"more{number}@example.com")
        approve_request(request_id=case.pk, by=SYSTEM, reason="Fine.", now=clock.now())
    with django_assert_num_queries(12):
        payer.get(url)


def test_without_the_permission_there_is_no_page_no_file_and_no_claim(refunds, make_user, sign_in, url):
    client = sign_in(make_user("other", ALL))

    assert {client.get(url).status_code, client.get(url, {"download": "1"}).status_code} == {302}
    client.post(url, {"claim": "1"})
    assert states() == {RefundState.RESERVED}
    assert url not in client.get(reverse("refund_cases:index")).content.decode()


def test_a_claimed_list_comes_line_by_line_so_that_claiming_shows_its_progress(refunds, payer, url):
    lines = iter(payer.post(url, {"claim": "1"}).streaming_content)
    claimed = []
    for _line in lines:
        claimed.append(Refund.objects.filter(state=RefundState.MANUAL_CLAIMED).count())
    assert claimed == [0, 0, 1, 2]  # the mark of UTF-8, the head, then a refund with each line


def test_the_lines_of_a_list_are_in_the_language_of_who_asked_for_it(refunds, payer, url, monkeypatch):
    told = []
    monkeypatch.setattr(worklist, "_", lambda text: told.append(get_language()) or text)
    answer = payer.get(url, {"download": "1"}, headers={"Accept-Language": "de"})
    with translation.override("fr"):
        list(answer.streaming_content)
    assert told == ["de", "de"]


@pytest.mark.parametrize("amount", ["sNaN", "NaN", "-sNaN1", "Infinity", "1e999999999", "=18.20", ""])
def test_an_amount_that_is_no_number_is_refused_kindly_and_records_nothing(refunds, payer, url, amount):
    [row, _other] = rows_of(payer.post(url, {"claim": "1"}))
    answer = upload(payer, url, [row], record=True, amount=amount)
    [problem] = answer.context["report"].problems
    assert "Leave it as it was exported" in problem.why or "not what the list says" in problem.why
    assert states() == {RefundState.MANUAL_CLAIMED}


def test_an_empty_list_offers_no_file_and_says_what_would_stand_there(gateway, payer, url):
    page = payer.get(url).content.decode()
    assert "Nothing waits to be paid by hand" in page and "stands here" in page
    assert "0 refunds" not in page and "up to 0" not in page
    assert "Claim and download" not in page and "?download=1" not in page


def test_once_all_is_claimed_the_page_says_whose_it_is(refunds, payer, url):
    list(payer.post(url, {"claim": "1"}).streaming_content)
    page = payer.get(url).content.decode()
    assert "2 refunds are yours to pay" in page and "up to 0" not in page
    assert "Claim and download" in page  # again, for whoever lost the file
