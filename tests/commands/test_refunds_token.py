"""`refunds_token`: shown once, listed without its secret, ended for good."""

from __future__ import annotations

import json

import pytest

from refund_plugin.api.models import ServiceToken
from refund_plugin.api.tokens import find_token
from refund_plugin.stores.models import Store
from tests.commands.helpers import run
from tests.factories import NOW

pytestmark = pytest.mark.usefixtures("store")


def test_the_token_is_the_only_thing_on_the_output_so_that_a_script_can_keep_it():
    ran = run("refunds_token", "create", "storefront", "--scope", "view_cases", "--scope", "approve_refunds")
    assert ran.code == 0
    row = find_token(ran.out.strip(), now=NOW)
    assert row is not None
    assert row.scopes == ["approve_refunds", "view_cases"]
    assert "cannot be shown again" in ran.err


def test_a_token_belongs_to_the_named_store_and_ends_on_its_day():
    Store.objects.create(slug="other", name="Other", timezone="UTC")
    told = json.loads(run("refunds_token", "create", "erp", "--store", "other", "--days", "10", "--json").out)
    assert (told["store"], told["state"]) == ("other", "active")
    assert (ServiceToken.objects.get().expires_at - NOW).days == 10


def test_an_unknown_store_is_told_with_the_known_ones():
    ran = run("refunds_token", "create", "erp", "--store", "nothing")
    assert ran.code == 2
    assert "default" in ran.err
    assert not ServiceToken.objects.exists()


def test_an_unknown_scope_is_wrong_usage(capsys):
    assert run("refunds_token", "create", "erp", "--scope", "everything").code == 2
    assert "view_cases" in capsys.readouterr().err


def test_the_list_shows_state_and_scopes_and_no_secret():
    plain = run("refunds_token", "create", "storefront").out.strip()
    ended = json.loads(run("refunds_token", "create", "old", "--json").out)
    run("refunds_token", "revoke", ended["prefix"])
    listed = run("refunds_token", "list").out
    assert plain.split("_", 2)[2] not in listed
    assert [row["state"] for row in json.loads(run("refunds_token", "list", "--json").out)] == ["active", "revoked"]
    assert "customers' own actions only" in listed


def test_an_empty_list_says_how_to_make_one():
    assert "refunds_token create" in run("refunds_token", "list").out


def test_a_revoked_token_opens_nothing():
    told = json.loads(run("refunds_token", "create", "storefront", "--json").out)
    assert run("refunds_token", "revoke", told["prefix"]).code == 0
    assert find_token(told["token"], now=NOW) is None


def test_an_unknown_prefix_is_told():
    ran = run("refunds_token", "revoke", "00000000")
    assert ran.code == 1
    assert "00000000" in ran.err
