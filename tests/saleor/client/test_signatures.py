"""Only what an installation's own Saleor signed, with RS256 and a key that it publishes, verifies."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.db import connection

from refund_plugin.saleor.errors import KeysUnavailable, SignatureInvalid, TokenInvalid
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.signatures import verify_customer_token, verify_dashboard_token, verify_webhook
from tests.saleor.client.conftest import NOW, Said, ScriptedSaleor, Signer, signer

BODY = b'{"order": {"id": "T3JkZXI6MQ=="}}'


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def public_pem(of: Signer) -> bytes:
    return of.key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def verify(installation: SaleorInstallation, signature: str, body: bytes = BODY) -> None:
    verify_webhook(body=body, signature=signature, installation=installation, now=NOW)


def test_what_saleor_signed_verifies_and_its_keys_are_asked_for_once(installation: SaleorInstallation, saleor: ScriptedSaleor) -> None:
    for _time in range(3):
        verify(SaleorInstallation.objects.get(), signer("first").sign(BODY))
    assert saleor.keys_asked == 1
    assert SaleorInstallation.objects.get().keys == {"keys": [signer("first").jwk]}


def test_an_empty_body_with_a_valid_signature_verifies(installation: SaleorInstallation) -> None:
    """Saleor sends it so again after a 5xx (trap 1); what to do with nothing is for the door to say."""
    verify(installation, signer("first").sign(b""), b"")


def test_another_body_does_not_verify(installation: SaleorInstallation) -> None:
    for body in (BODY + b" ", BODY[:-1], b""):
        with pytest.raises(SignatureInvalid):
            verify(installation, signer("first").sign(BODY), body)


def test_a_key_of_the_same_name_that_is_another_one_does_not_verify(installation: SaleorInstallation) -> None:
    with pytest.raises(SignatureInvalid):
        verify(installation, Signer("first", signer("other").key).sign(BODY))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-20],
        lambda text: text[:40],
        lambda text: "",
        lambda text: "..",
        lambda text: text + ".x",
        lambda text: text.replace("..", "." + base64.urlsafe_b64encode(BODY).rstrip(b"=").decode() + "."),
        lambda text: "x" * 20_000,
        lambda text: "{}." + text.partition(".")[2],
        lambda text: "ümläut." + text.partition(".")[2],
        lambda text: encoded([]) + "." + text.partition(".")[2],
        lambda text: encoded({"alg": "RS256", "kid": "first"}) + "." + text.partition(".")[2],
        lambda text: encoded({"alg": "RS256", "kid": 7, "b64": False, "crit": ["b64"]}) + "." + text.partition(".")[2],
    ],
    ids=["cut", "header only", "empty", "dots", "four parts", "not detached", "long", "no header", "unicode", "list", "no crit", "kid"],
)
def test_a_signature_that_is_damaged_does_not_verify(installation: SaleorInstallation, change: Callable[[str], str]) -> None:
    installation.keys = {"keys": [signer("first").jwk]}
    with pytest.raises(SignatureInvalid):
        verify(installation, change(signer("first").sign(BODY)))


def test_hmac_made_with_the_public_key_does_not_verify(installation: SaleorInstallation) -> None:
    installation.keys = {"keys": [signer("first").jwk]}
    header = encoded({"alg": "HS256", "kid": "first", "b64": False, "crit": ["b64"]})
    made = jwt.get_algorithm_by_name("HS256").sign(header.encode() + b"." + BODY, public_pem(signer("first")))
    with pytest.raises(SignatureInvalid):
        verify(installation, f"{header}..{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}")


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "RS512", "PS256", "ES256", ""])
def test_no_other_algorithm_is_even_tried(installation: SaleorInstallation, saleor: ScriptedSaleor, algorithm: str) -> None:
    header = encoded({"alg": algorithm, "kid": "unknown", "b64": False, "crit": ["b64"]})
    with pytest.raises(SignatureInvalid):
        verify(installation, f"{header}..c2ln")
    assert saleor.keys_asked == 0


def test_after_a_rotation_the_new_key_is_asked_for_and_the_old_one_counts_no_more(
    installation: SaleorInstallation, saleor: ScriptedSaleor
) -> None:
    verify(installation, signer("first").sign(BODY))
    saleor.keys = Said({"keys": [signer("second").jwk]})
    later = NOW + timedelta(minutes=2)
    verify_webhook(body=BODY, signature=signer("second").sign(BODY), installation=installation, now=later)
    assert saleor.keys_asked == 2
    with pytest.raises(SignatureInvalid):
        verify(SaleorInstallation.objects.get(), signer("first").sign(BODY))


def test_made_up_key_names_make_us_ask_once_a_minute_and_are_worth_another_delivery(
    installation: SaleorInstallation, saleor: ScriptedSaleor
) -> None:
    with pytest.raises(SignatureInvalid) as asked:
        verify(installation, signer("other").sign(BODY))
    assert not isinstance(asked.value, KeysUnavailable)
    for _time in range(5):
        with pytest.raises(KeysUnavailable):
            verify(SaleorInstallation.objects.get(), signer("other").sign(BODY))
    assert saleor.keys_asked == 1


def test_what_another_process_has_read_meanwhile_is_used(installation: SaleorInstallation, saleor: ScriptedSaleor) -> None:
    mine = SaleorInstallation.objects.get()
    verify(installation, signer("first").sign(BODY))
    verify(mine, signer("first").sign(BODY))  # its copy of the row is older than the other's reading
    assert saleor.keys_asked == 1


@pytest.mark.parametrize(
    "said",
    [
        Said(status=500, document={}),
        Said(status=302, headers={"Location": "/elsewhere"}, document={}),
        Said(body=b"<html>", content_type="text/html"),
        Said(body=b'{"keys": "none"}'),
        Said(body=b'{"keys": [' + b" " * 200_000 + b"]}"),
        Said(drops=True),
    ],
    ids=["error", "redirect", "page", "no list", "too long", "silence"],
)
def test_keys_that_cannot_be_read_are_no_verdict_and_the_known_ones_stay(
    installation: SaleorInstallation, saleor: ScriptedSaleor, said: Said
) -> None:
    verify(installation, signer("first").sign(BODY))
    saleor.keys = said
    later = NOW + timedelta(minutes=2)
    with pytest.raises(KeysUnavailable):
        verify_webhook(body=BODY, signature=signer("second").sign(BODY), installation=installation, now=later)
    verify(SaleorInstallation.objects.get(), signer("first").sign(BODY))


@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits")
def test_a_key_that_is_too_short_is_none(installation: SaleorInstallation, saleor: ScriptedSaleor) -> None:
    weak = Signer("weak", rsa.generate_private_key(public_exponent=65537, key_size=1024))
    saleor.keys = Said({"keys": [weak.jwk]})
    with pytest.raises(SignatureInvalid):
        verify(installation, weak.sign(BODY))


def test_another_instances_signature_does_not_verify(installation: SaleorInstallation) -> None:
    other = SaleorInstallation(slug="other", api_url="https://other.example/graphql/", keys={"keys": [signer("other").jwk]})
    signature = signer("other").sign(BODY)
    verify(other, signature)
    with pytest.raises(SignatureInvalid):
        verify(installation, signature)


def claims(installation: SaleorInstallation, **changed: object) -> dict[str, Any]:
    """As `create_access_token_for_app` writes them (saleor/core/jwt.py)."""
    return {
        "iat": NOW,
        "owner": "saleor",
        "iss": installation.api_url,
        "exp": NOW + timedelta(minutes=5),
        "token": "abc",
        "email": "clerk@shop.example",
        "type": "thirdparty",
        "user_id": "VXNlcjox",
        "is_staff": True,
        "app": installation.app_id,
        "permissions": ["MANAGE_ORDERS"],
        "user_permissions": ["MANAGE_ORDERS", "HANDLE_PAYMENTS"],
        **changed,
    }


def test_a_dashboard_token_says_who_it_is_and_what_they_may(installation: SaleorInstallation) -> None:
    token = signer("first").token(claims(installation, aud="https://refunds.example", app_extension="QXBwRXh0ZW5zaW9uOjE="))
    user = verify_dashboard_token(token=token, installation=installation, now=NOW)
    assert (user.user_id, user.email) == ("VXNlcjox", "clerk@shop.example")
    assert user.permissions == {"MANAGE_ORDERS"}
    assert user.user_permissions == {"MANAGE_ORDERS", "HANDLE_PAYMENTS"}
    assert user.expires_at == NOW + timedelta(minutes=5)
    assert user.app_extension == "QXBwRXh0ZW5zaW9uOjE="
    assert "clerk@shop.example" not in repr(user)


@pytest.mark.parametrize(
    "changed",
    [
        {"exp": NOW},
        {"exp": NOW - timedelta(hours=1)},
        {"exp": "soon"},
        {"exp": 10**30},
        {"iss": "https://other.example/graphql/"},
        {"iss": ""},
        {"app": "QXBwOjI="},
        {"app": None},
        {"type": "access"},
        {"type": "refresh"},
        {"user_id": ""},
        {"user_id": 7},
        {"email": None},
        {"permissions": "MANAGE_ORDERS"},
    ],
    ids=lambda changed: "-".join(f"{name} {value}" for name, value in changed.items())[:40],
)
def test_a_dashboard_token_that_is_over_or_for_somebody_else_proves_nothing(
    installation: SaleorInstallation, changed: dict[str, object]
) -> None:
    with pytest.raises(TokenInvalid):
        verify_dashboard_token(token=signer("first").token(claims(installation, **changed)), installation=installation, now=NOW)


@pytest.mark.parametrize("missing", ["exp", "iss", "app", "user_id", "email"])
def test_a_dashboard_token_without_a_claim_proves_nothing(installation: SaleorInstallation, missing: str) -> None:
    given = {name: value for name, value in claims(installation).items() if name != missing}
    with pytest.raises(TokenInvalid):
        verify_dashboard_token(token=signer("first").token(given), installation=installation, now=NOW)


def test_a_dashboard_token_with_another_algorithm_or_key_proves_nothing(installation: SaleorInstallation) -> None:
    installation.keys = {"keys": [signer("first").jwk]}
    given = {**claims(installation), "iat": int(NOW.timestamp()), "exp": int((NOW + timedelta(minutes=5)).timestamp())}
    header = encoded({"alg": "HS256", "typ": "JWT", "kid": "first"})
    signed = f"{header}.{encoded(given)}"
    made = jwt.get_algorithm_by_name("HS256").sign(signed.encode(), public_pem(signer("first")))
    unsigned = f"{encoded({'alg': 'none', 'kid': 'first'})}.{encoded(given)}."
    rs512 = jwt.encode(given, signer("first").key, algorithm="RS512", headers={"kid": "first"})
    stolen = Signer("first", signer("other").key).token(given)
    for token in (f"{signed}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}", unsigned, rs512, stolen, "", "a.b.c", "x" * 40_000):
        with pytest.raises(TokenInvalid):
            verify_dashboard_token(token=token, installation=installation, now=NOW)


def test_without_an_app_id_no_dashboard_token_proves_anything(installation: SaleorInstallation) -> None:
    installation.app_id = ""
    with pytest.raises(TokenInvalid):
        verify_dashboard_token(token=signer("first").token(claims(installation, app="")), installation=installation, now=NOW)


def test_a_customers_token_is_one_of_the_storefront(installation: SaleorInstallation) -> None:
    given = {name: value for name, value in claims(installation, type="access", is_staff=False).items() if name != "app"}
    user = verify_customer_token(token=signer("first").token(given), installation=installation, now=NOW)
    assert (user.user_id, user.email) == ("VXNlcjox", "clerk@shop.example")
    wrong: list[dict[str, object]] = [{"type": kind} for kind in ("refresh", "thirdparty", "confirm-email-change", None)]
    wrong += [{"app": installation.app_id}, {"owner": "plugin"}, {"exp": NOW}, {"is_staff": True}, {"is_staff": None}, {"is_staff": 0}]
    for changed in wrong:
        with pytest.raises(TokenInvalid):
            verify_customer_token(token=signer("first").token({**given, **changed}), installation=installation, now=NOW)


@pytest.mark.django_db(transaction=True)
def test_many_deliveries_at_once_with_a_new_key_ask_for_it_once_and_none_is_taken_for_forged(
    installation: SaleorInstallation, saleor: ScriptedSaleor
) -> None:
    signature = signer("first").sign(BODY)

    def deliver(_number: int) -> str:
        try:
            verify(SaleorInstallation.objects.get(), signature)
        except KeysUnavailable:
            return "again"  # the reading was under way: Saleor delivers it once more
        finally:
            connection.close()
        return "verified"

    with ThreadPoolExecutor(6) as pool:
        ended = Counter(pool.map(deliver, range(12)))
    assert saleor.keys_asked == 1
    assert ended["verified"] >= 1
    assert ended["verified"] + ended["again"] == 12
    verify(SaleorInstallation.objects.get(), signature)
