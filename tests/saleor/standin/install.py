"""Installing an app: Saleor reads the manifest twice, checks it, and hands a token over in an unsigned request."""

from __future__ import annotations

import json
import re
import secrets
from typing import Any
from urllib.parse import urlsplit

from tests.saleor.standin.payloads import SYNC_EVENTS, subscription_problem
from tests.saleor.standin.schema import schema_of
from tests.saleor.standin.webhook_mutations import BadHeaders, checked_headers
from tests.saleor.standin.webhooks import Answer, NoAnswer, Transport
from tests.saleor.standin.world import App, AppExtension, Webhook, World

ASYNC_EVENTS = (
    *("ORDER_CREATED", "ORDER_UPDATED", "ORDER_CONFIRMED", "ORDER_PAID", "ORDER_FULLY_PAID", "ORDER_REFUNDED", "ORDER_FULLY_REFUNDED"),
    *("ORDER_FULFILLED", "ORDER_CANCELLED", "ORDER_EXPIRED", "ORDER_METADATA_UPDATED", "TRANSACTION_ITEM_METADATA_UPDATED"),
    *("APP_INSTALLED", "APP_UPDATED", "APP_DELETED", "APP_STATUS_CHANGED", "PAGE_CREATED", "PAGE_UPDATED", "PAGE_DELETED"),
    *("PAGE_TYPE_UPDATED", "CUSTOMER_UPDATED", "CUSTOMER_DELETED", "CUSTOMER_METADATA_UPDATED", "PRODUCT_UPDATED", "ACCOUNT_DELETED"),
)
MOUNTS = (
    *("ORDER_DETAILS_MORE_ACTIONS", "ORDER_DETAILS_WIDGETS", "CUSTOMER_DETAILS_WIDGETS", "CUSTOMER_DETAILS_MORE_ACTIONS"),
    *("NAVIGATION_ORDERS", "NAVIGATION_CUSTOMERS", "HOMEPAGE_WIDGETS", "ORDER_OVERVIEW_MORE_ACTIONS"),
)
TARGETS = ("POPUP", "APP_PAGE", "NEW_TAB", "WIDGET")


class InstallRefused(Exception):
    """Saleor does not install the app, and says why."""


def read_manifest(transport: Transport, url: str, schema_version: str) -> dict[str, Any]:
    """GET a manifest; raises InstallRefused."""
    try:
        answer = transport.get(url, {"Saleor-Schema-Version": schema_version})
    except NoAnswer as error:
        raise InstallRefused(f"Can't connect to the manifest: {error}") from error
    if answer.status != 200:
        raise InstallRefused(f"The manifest answers {answer.status}.")
    try:
        manifest = json.loads(answer.body)
    except ValueError as error:
        raise InstallRefused("The manifest is no JSON.") from error
    if not isinstance(manifest, dict):
        raise InstallRefused("The manifest is no object.")
    return manifest


def check_manifest(manifest: dict[str, Any], *, version: str, api_version: str, world: World) -> None:
    """Refuse what Saleor refuses: missing fields, unknown permissions, mounts and events, a bad query, an app that is there."""
    for name in ("id", "name", "version"):
        if not isinstance(manifest.get(name), str) or not manifest[name]:
            raise InstallRefused(f"{name}: Field required.")
    if any(app.identifier == manifest["id"] for app in world.apps.values()):
        raise InstallRefused("App with the same identifier is already installed")
    if not _version_matches(manifest.get("requiredSaleorVersion"), api_version):
        raise InstallRefused(f"requiredSaleorVersion: Saleor version {api_version} is not supported by the app.")
    permissions = manifest.get("permissions", [])
    known = schema_of(version).type_map["PermissionEnum"].values  # type: ignore[attr-defined]
    if unknown := [name for name in permissions if name not in known]:
        raise InstallRefused(f"permissions: Given permissions don't exist: {unknown}")
    for name in ("appUrl", "tokenTargetUrl", "homepageUrl", "supportUrl", "dataPrivacyUrl"):
        if manifest.get(name) and not _absolute(manifest[name]):
            raise InstallRefused(f"{name}: Incorrect format.")
    for each in manifest.get("extensions", []):
        _check_extension(each, permissions, manifest)
    for each in manifest.get("webhooks", []):
        _check_webhook(each, version)


def _absolute(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _version_matches(wanted: str | None, api_version: str) -> bool:
    """Understand the ranges that are written in manifests: `>=3.20 <3.24`, `^3.20`."""
    if not wanted:
        return True
    actual = tuple(int(part) for part in api_version.split("."))
    for operator, number in re.findall(r"(>=|<=|<|>|\^|~|=)?\s*(\d+(?:\.\d+)*)", wanted):
        other = tuple(int(part) for part in number.split("."))
        short = actual[: len(other)]
        matches = {
            ">=": actual >= other,
            "<": short < other,
            "<=": short <= other,
            ">": short > other,
            "^": actual >= other and actual[0] == other[0],
            "~": actual >= other and actual[:2] == other[:2],
        }
        if not matches.get(operator, short == other):
            return False
    return True


def _check_extension(each: dict[str, Any], permissions: list[str], manifest: dict[str, Any]) -> None:
    if each.get("mount") not in MOUNTS or each.get("target", "POPUP") not in TARGETS or not each.get("label"):
        raise InstallRefused(f"extensions: Incorrect value for an extension: {each}")
    url, target = each.get("url", ""), each.get("target", "POPUP")
    if url.startswith("/") and target == "NEW_TAB" or not url.startswith("/") and target == "APP_PAGE" or not url:
        raise InstallRefused(f"extensions: Incorrect relation between extension's target and url: {each}")
    if url.startswith("/") and not manifest.get("appUrl"):
        raise InstallRefused("extensions: To use relative URL, you must specify appUrl.")
    if not url.startswith("/") and not _absolute(url):
        raise InstallRefused(f"extensions: Incorrect URL: {url}")
    if more := set(each.get("permissions", [])) - set(permissions):
        raise InstallRefused(f"extensions: Extension permission must be listed in App's permissions: {more}")
    for options in each.get("options", {}).values():
        if options.get("method") not in ("GET", "POST"):
            raise InstallRefused(f"extensions: Incorrect method: {options}")


def _check_webhook(each: dict[str, Any], version: str) -> None:
    asynchronous, synchronous = each.get("asyncEvents", []), each.get("syncEvents", [])
    if not each.get("name") or not _absolute(each.get("targetUrl", "")) or not (asynchronous or synchronous):
        raise InstallRefused(f"webhooks: Incorrect webhook: {each}")
    if unknown := [name for name in asynchronous if name not in ASYNC_EVENTS] + [name for name in synchronous if name not in SYNC_EVENTS]:
        raise InstallRefused(f"webhooks: Invalid events: {unknown}")
    try:
        checked_headers(each.get("customHeaders") or {})
    except BadHeaders as refused:
        raise InstallRefused(f"webhooks: Invalid custom headers: {refused}") from refused
    if problem := subscription_problem(each.get("query", ""), version):
        raise InstallRefused(f"webhooks: Subscription query is not valid: {problem}")


def make_app(manifest: dict[str, Any], manifest_url: str, world: World) -> App:
    """Write the app down with a fresh token. It is there, and the token works, before the app has heard of it."""
    app = App(
        id=world.next_id("App"),
        identifier=manifest["id"],
        name=manifest["name"],
        version=manifest["version"],
        permissions=list(manifest.get("permissions", [])),
        manifest_url=manifest_url,
        app_url=manifest.get("appUrl", ""),
        audience=manifest.get("audience") or "",
        created=world.clock.now(),
        tokens={secrets.token_hex(15)},
    )
    app.webhooks = [
        Webhook(
            id=world.next_id("Webhook"),
            app=app,
            name=each["name"],
            target_url=each["targetUrl"],
            query=each["query"],
            events=[*each.get("asyncEvents", []), *each.get("syncEvents", [])],
            is_active=each.get("isActive", True),
            custom_headers=checked_headers(each.get("customHeaders") or {}),
        )
        for each in manifest.get("webhooks", [])
    ]
    app.extensions = [
        AppExtension(
            id=world.next_id("AppExtension"),
            label=each["label"],
            url=each["url"],
            mount=each["mount"],
            target=each.get("target", "POPUP"),
            options=each.get("options", {}),
            permissions=each.get("permissions", []),
        )
        for each in manifest.get("extensions", [])
    ]
    return app


def hand_over_token(transport: Transport, url: str, token: str, headers: dict[str, str]) -> None:
    """POST the token. Anything but 2xx undoes the installation.

    Raises:
        InstallRefused: with the app's own words, when it gives any.
    """
    try:
        answer: Answer = transport.post(url, json.dumps({"auth_token": token}).encode(), {"Content-Type": "application/json", **headers})
    except NoAnswer as error:
        raise InstallRefused(f"The app does not answer: {error}") from error
    if not 200 <= answer.status < 300:
        try:
            message = json.loads(answer.body)["error"]["message"]
        except (ValueError, KeyError, TypeError):
            message = f"App responded with status {answer.status}."
        raise InstallRefused(message)
