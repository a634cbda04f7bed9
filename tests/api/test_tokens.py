"""Service tokens: shown once, kept as a hash, ended for good."""

from __future__ import annotations

from datetime import timedelta

import pytest

from refund_plugin.api.models import ServiceToken
from refund_plugin.api.tokens import create_token, find_token, revoke_token
from refund_plugin.errors import InvalidInput, NotFound, Required
from tests.factories import NOW


def test_the_token_itself_is_nowhere_in_the_database(store):
    row, plain = create_token(store=store, name="storefront", scopes=["view_cases"], now=NOW)
    secret = plain.split("_", 2)[2]
    assert plain.startswith(f"rpt_{row.prefix}_")
    assert len(secret) == 43  # 256 bits
    assert not any(secret in str(value) for value in ServiceToken.objects.values().get().values())
    assert find_token(plain, now=NOW) == row


def test_two_tokens_are_never_alike(store):
    assert create_token(store=store, name="a", scopes=[], now=NOW)[1] != create_token(store=store, name="a", scopes=[], now=NOW)[1]


def test_a_token_ends_when_it_expires(store):
    _row, plain = create_token(store=store, name="a", scopes=[], now=NOW, expires_at=NOW + timedelta(days=1))
    assert find_token(plain, now=NOW + timedelta(hours=23)) is not None
    assert find_token(plain, now=NOW + timedelta(days=1)) is None


def test_a_token_ends_when_it_is_revoked_and_the_first_time_counts(store):
    row, plain = create_token(store=store, name="a", scopes=[], now=NOW)
    revoke_token(prefix=f"rpt_{row.prefix}", now=NOW)
    assert find_token(plain, now=NOW) is None
    assert revoke_token(prefix=row.prefix, now=NOW + timedelta(days=1)).revoked_at == NOW


def test_what_cannot_be_a_token_is_told(store):
    with pytest.raises(Required):
        create_token(store=store, name=" ", scopes=[], now=NOW)
    with pytest.raises(InvalidInput, match="view_cases"):
        create_token(store=store, name="a", scopes=["everything"], now=NOW)
    with pytest.raises(InvalidInput):
        create_token(store=store, name="a", scopes=[], now=NOW, expires_at=NOW)
    with pytest.raises(NotFound):
        revoke_token(prefix="nothing", now=NOW)
    assert not ServiceToken.objects.exists()
