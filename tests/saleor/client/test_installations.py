"""An installation is found by what names it, and only while it is one."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from cryptography.fernet import Fernet

from refund_plugin.saleor import installations
from refund_plugin.saleor.asynchronous import async_client_for
from refund_plugin.saleor.client import client_for, renew_token
from refund_plugin.saleor.errors import NotInstalled, SecretUnreadable
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.secrets import decrypt, encrypt
from tests.saleor.client.conftest import TOKEN, Said, ScriptedSaleor


def test_it_is_found_by_slug_address_and_header(installation: SaleorInstallation) -> None:
    assert installations.active_installation(slug="shop") == installation
    assert installations.active_installation(api_url=installation.api_url) == installation
    assert installations.active_installation(api_url=installation.api_url.rstrip("/")) == installation
    for header in ("Saleor-Api-Url", "X-Saleor-Api-Url", "saleor-api-url"):
        assert installations.installation_of_request({header: installation.api_url}) == installation


def test_unknown_removed_and_no_longer_allowed_all_read_the_same(installation: SaleorInstallation, settings: Any) -> None:
    for headers in ({}, {"Saleor-Api-Url": ""}, {"Saleor-Api-Url": "https://other.example/graphql/"}, {"Saleor-Domain": "127.0.0.1"}):
        with pytest.raises(NotInstalled):
            installations.installation_of_request(headers)
    with pytest.raises(NotInstalled):
        installations.active_installation()
    for changed in ({"is_active": False}, {"is_active": True, "token_encrypted": ""}):
        SaleorInstallation.objects.update(**changed)
        with pytest.raises(NotInstalled):
            installations.active_installation(slug="shop")
    SaleorInstallation.objects.update(is_active=True, token_encrypted="x")
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "SALEOR": {}}
    with pytest.raises(NotInstalled):
        installations.active_installation(slug="shop")


def test_a_client_of_an_installation_has_its_token(installation: SaleorInstallation, saleor: ScriptedSaleor) -> None:
    saleor.says(Said({"data": {"channels": []}}))
    client_for("shop").execute("Channels")
    assert saleor.asked[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_token_that_cannot_be_decrypted_is_told(installation: SaleorInstallation) -> None:
    SaleorInstallation.objects.update(token_encrypted="something else")
    with pytest.raises(SecretUnreadable):
        client_for("shop")


def test_a_new_version_is_kept_on_the_row(installation: SaleorInstallation, saleor: ScriptedSaleor) -> None:
    SaleorInstallation.objects.update(version="")
    saleor.by_operation["ShopVersion"] = Said({"data": {"shop": {"version": "3.22.67"}}})
    assert str(client_for("shop").version()) == "3.22"
    assert SaleorInstallation.objects.get().version == "3.22.67"


def test_an_asynchronous_view_gets_a_client_with_the_token(installation: SaleorInstallation, saleor: ScriptedSaleor) -> None:
    saleor.says(Said({"data": {"channels": []}}))

    async def view() -> dict[str, Any]:
        async with await async_client_for("shop") as client:
            return await client.execute("Channels")

    assert async_to_sync(view)() == {"channels": []}
    assert saleor.asked[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_a_token_is_encrypted_anew_with_the_newest_key_so_that_the_old_one_can_go(installation: SaleorInstallation, settings: Any) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "ENCRYPTION_KEYS": [new, old]}
    assert renew_token(installation)
    assert not renew_token(SaleorInstallation.objects.get())
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "ENCRYPTION_KEYS": [new]}
    settings.SECRET_KEY = "another one"
    assert decrypt(SaleorInstallation.objects.get().token_encrypted) == TOKEN


def test_a_token_that_a_new_installation_brought_meanwhile_is_not_put_back(installation: SaleorInstallation, settings: Any) -> None:
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "ENCRYPTION_KEYS": [Fernet.generate_key().decode()]}
    SaleorInstallation.objects.update(token_encrypted=encrypt("the new token"))
    assert not renew_token(installation)
    assert decrypt(SaleorInstallation.objects.get().token_encrypted) == "the new token"
