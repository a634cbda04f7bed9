"""A signed link to a file: recorded first, once per link, and handed out only to whoever holds a link that is good."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.signing import Signer
from django.http import HttpResponseRedirect

from refund_plugin import checks, clock
from refund_plugin.actor import SYSTEM
from refund_plugin.orders.access import correct_access
from refund_plugin.orders.models import AccessEvent
from refund_plugin.orders.queries import usage_of
from refund_plugin.refunds.access.models import AccessState
from refund_plugin.web.download import download_path
from tests.factories import LICENCE, MEMORY
from tests.web.conftest import buy, soup, words

pytestmark = pytest.mark.django_db

FILE = "https://files.example/slow-web.epub?key=secret"
seen: list[int] = []


def hand_out(request, download):
    """Stand for a shop's own function: send the reader to where the file lies, and note what was recorded by then."""
    seen.append(AccessEvent.objects.filter(line=download.line).count())
    return HttpResponseRedirect(download.file)


def break_down(request, download):
    """Stand for a storage that is down."""
    raise OSError("the storage does not answer")


@pytest.fixture(autouse=True)
def handler(gateway, settings):
    settings.REFUND_PLUGIN = {**MEMORY, "DOWNLOAD_HANDLER": "tests.web.test_download.hand_out"}
    seen.clear()


@pytest.fixture
def line(gateway):
    return buy().lines.get()


def link(line, **changes):
    return download_path(**{"line": line, "file": FILE, "now": clock.now(), **changes})


def downloads(line):
    return usage_of([line])[line.pk].downloads


def test_the_download_is_recorded_before_the_file_is_handed_out(client, line):
    answer = client.get(link(line))

    assert (answer.status_code, answer["Location"]) == (302, FILE)
    assert seen == [1]
    fact = AccessEvent.objects.get()
    assert (fact.line, fact.kind, fact.source, fact.amount) == (line, "downloaded", "download", 1)
    assert "no-store" in answer["Cache-Control"] and answer["Referrer-Policy"] == "same-origin"


def test_a_download_that_is_continued_counts_once_and_a_new_link_counts_again(client, line):
    first = link(line)
    for piece in ("bytes=0-", "bytes=1000-", "bytes=2000-"):
        assert client.get(first, headers={"Range": piece}).status_code == 302
    assert downloads(line) == 1

    client.get(link(line))
    assert downloads(line) == 2


def test_a_link_that_is_first_followed_in_the_middle_of_the_file_counts(client, line):
    client.get(link(line), headers={"Range": "bytes=1-"})

    assert downloads(line) == 1


@pytest.mark.parametrize(
    "headers", [{"Sec-Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"}, {"X-Moz": "prefetch"}]
)
def test_a_browser_that_guesses_gets_nothing_and_nothing_is_recorded(client, line, headers):
    answer = client.get(link(line), headers=headers)

    assert (answer.status_code, answer.content, "Location" in answer) == (204, b"", False)
    assert (downloads(line), seen) == (0, [])


def test_looking_at_the_headers_records_nothing_and_does_not_tell_where_the_file_lies(client, line):
    answer = client.head(link(line))

    assert (answer.status_code, "Location" in answer) == (200, False)
    assert (downloads(line), seen) == (0, [])


def test_other_methods_are_refused(client, line):
    assert client.post(link(line)).status_code == 405
    assert downloads(line) == 0


def test_a_link_that_was_changed_or_made_for_another_purpose_opens_nothing(client, line):
    good = link(line)
    other = Signer(salt="refund_plugin.web.purchase", sep=".").sign_object({"line": line.pk, "file": FILE, "until": 2**40, "nonce": "n"})
    for path in (good[:-2] + "x/", good.replace("/download/", "/download/e"), f"/refunds/download/{other}/", "/refunds/download/x/"):
        assert client.get(path).status_code == 404
    assert (downloads(line), seen) == (0, [])


def test_a_link_ends_and_says_how_to_get_another(client, line):
    path = link(line)
    with clock.travel(timedelta(hours=1)):
        answer = client.get(path)

    assert answer.status_code == 410
    assert "press it again" in words(soup(answer))
    assert (downloads(line), seen) == (0, [])


def test_how_long_a_link_lasts_is_a_setting(client, line, settings):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "DOWNLOAD_SECONDS": 7200}
    path = link(line)
    with clock.travel(timedelta(hours=1)):
        assert client.get(path).status_code == 302


@pytest.mark.parametrize(
    ("wanted", "title"),
    [
        ({"wanted_frozen": 1}, "This rests while your refund is on its way"),
        ({"wanted_revoked": 1}, "You got your money back for this"),
    ],
)
def test_what_is_frozen_or_revoked_stays_closed_with_a_kind_page(client, line, wanted, title):
    AccessState.objects.create(line=line, changed_at=clock.now(), due_at=clock.now(), **wanted)
    answer = client.get(link(line))

    assert answer.status_code == 403
    assert words(soup(answer), "h1") == title
    assert "The Slow Web" in words(soup(answer))
    assert (downloads(line), seen) == (0, [])


def test_access_that_came_back_opens_again(client, line):
    AccessState.objects.create(line=line, changed_at=clock.now())

    assert client.get(link(line)).status_code == 302


@pytest.mark.parametrize(("held", "gone", "status"), [(1, 0, 403), (0, 1, 403), (0, 0, 302)])
def test_without_a_shop_that_locks_the_money_decides(client, line, held, gone, status):
    type(line).objects.filter(pk=line.pk).update(held_quantity=held, gone_quantity=gone)

    assert client.get(link(line)).status_code == status


def test_as_long_as_one_of_several_copies_is_left_it_can_be_opened(client, gateway):
    line = buy(LICENCE).lines.get()
    AccessState.objects.create(line=line, changed_at=clock.now(), due_at=clock.now(), wanted_frozen=1, wanted_revoked=1)

    assert client.get(link(line)).status_code == 302


def test_a_link_whose_download_was_corrected_does_not_give_the_file_for_nothing(client, line):
    path = link(line)
    client.get(path)
    correct_access(fact_id=AccessEvent.objects.get().pk, reason="failed", note="0 bytes.", by=SYSTEM, now=clock.now())
    seen.clear()

    assert client.get(path).status_code == 410
    assert (downloads(line), seen) == (0, [])
    client.get(link(line))
    assert downloads(line) == 1


def test_what_was_recorded_stays_recorded_when_the_storage_fails(client, line, settings):
    settings.REFUND_PLUGIN = {**MEMORY, "DOWNLOAD_HANDLER": "tests.web.test_download.break_down"}
    with pytest.raises(OSError, match="storage"):
        client.get(link(line))

    assert downloads(line) == 1


def test_without_a_function_of_the_shop_there_are_no_links(client, line, settings):
    path = link(line)
    settings.REFUND_PLUGIN = MEMORY

    assert client.get(path).status_code == 404
    with pytest.raises(ImproperlyConfigured, match="DOWNLOAD_HANDLER"):
        link(line)


@pytest.mark.parametrize("name", ["", "x" * 501])
def test_a_name_that_is_no_file_makes_no_link(line, name):
    with pytest.raises(ValueError, match="500"):
        link(line, file=name)


@pytest.mark.parametrize("key", ["ACCESS_HANDLER", "DOWNLOAD_HANDLER", "DOCUMENT_SKU"])
def test_a_function_that_does_not_exist_is_told_by_the_check(settings, key):
    settings.REFUND_PLUGIN = {**MEMORY, key: "nowhere.at_all"}
    [error] = checks.check_functions(None)

    assert (error.id, key in error.msg, f'REFUND_PLUGIN["{key}"]' in error.hint) == ("refund_plugin.E009", True, True)
    settings.REFUND_PLUGIN = {**MEMORY, key: "tests.web.test_download.hand_out"}
    assert checks.check_functions(None) == []
