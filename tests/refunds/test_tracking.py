"""Signed links: they open their own object and nothing else, and every failure reads the same."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
import time_machine

from refund_plugin.errors import NotFound
from refund_plugin.refunds.tracking import (
    customer_by_token,
    find_by_token,
    purchases_token,
    tracking_token,
    tracking_url,
)
from tests.factories import make_purchase
from tests.refunds.helpers import ask

pytestmark = pytest.mark.django_db


@pytest.fixture
def request_(policy):
    return ask(make_purchase())


def test_a_tracking_token_opens_its_request(request_):
    assert find_by_token(tracking_token(request_)) == request_


def test_a_token_of_one_request_does_not_open_another(request_):
    other = ask(make_purchase())
    signature = tracking_token(request_).partition(".")[2]
    with pytest.raises(NotFound):
        find_by_token(f"{other.pk.hex}.{signature}")


@pytest.mark.parametrize("token", ["", "x", ".", uuid.uuid4().hex, f"{uuid.uuid4().hex}.signature", "ü" * 40])
def test_a_malformed_or_forged_token_opens_nothing(request_, token):
    with pytest.raises(NotFound):
        find_by_token(token)


def test_a_new_nonce_ends_every_link_given_out(request_):
    token = tracking_token(request_)
    request_.tracking_nonce = "another"
    request_.save()
    with pytest.raises(NotFound):
        find_by_token(token)


def test_the_mailed_list_opens_for_its_customer_and_expires(request_):
    token = purchases_token(request_.customer)
    assert customer_by_token(token) == request_.customer
    with time_machine.travel(timedelta(days=3)), pytest.raises(NotFound):
        customer_by_token(token)


def test_a_tracking_token_does_not_open_a_list(request_):
    with pytest.raises(NotFound):
        customer_by_token(tracking_token(request_))


def test_the_link_in_mail_is_absolute(request_, settings):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "PUBLIC_URL": "https://shop.example/"}
    assert tracking_url(request_).startswith("https://shop.example/refunds/track/")
