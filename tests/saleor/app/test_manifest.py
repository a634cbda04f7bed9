"""The manifest: absolute addresses, few permissions, and subscriptions that Saleor's own schemas accept."""

from __future__ import annotations

import pytest
from django.contrib.staticfiles import finders
from graphql import OperationDefinitionNode, parse, validate
from PIL import Image

from refund_plugin import __version__, documents
from refund_plugin.saleor_app.manifest import EVENTS, PERMISSIONS, manifest_for
from tests.documented import ROOT
from tests.factories import MEMORY
from tests.saleor.app.conftest import API, OTHER_API
from tests.saleor.published import published_schema

PATH = "/refunds/saleor/manifest.json"
SUBSCRIPTIONS = ("OrderEvents", "AppEvents", "TransactionRequested")


def test_every_address_is_absolute_and_under_the_host_that_was_asked(client, allowed, db):
    told = client.get(PATH, headers={"host": "testserver"}).json()
    webhooks = [webhook["targetUrl"] for webhook in told["webhooks"]]
    widgets = [extension["url"] for extension in told["extensions"] if extension["target"] == "WIDGET"]
    logo = told["brand"]["logo"]["default"]
    for url in (told["appUrl"], told["tokenTargetUrl"], logo, *webhooks, *widgets):
        assert url.startswith("http://testserver/"), url
    assert told["tokenTargetUrl"] == "http://testserver/refunds/saleor/register/"
    assert logo.endswith(".png")
    assert len(widgets) == 2


def test_the_public_address_stands_in_for_the_requests_own(client, settings, db):
    settings.REFUND_PLUGIN = MEMORY | {"SALEOR": {API: {}}, "PUBLIC_URL": "https://refunds.example/"}
    assert client.get(PATH).json()["tokenTargetUrl"] == "https://refunds.example/refunds/saleor/register/"


def test_the_option_app_url_is_taken_for_the_host_that_was_asked_and_else_the_first(client, settings, db):
    options = {API: {"app_url": "https://first.example"}, OTHER_API: {"app_url": "http://localhost"}}
    settings.REFUND_PLUGIN = MEMORY | {"SALEOR": options, "PUBLIC_URL": "https://refunds.example"}
    for host, base in (("localhost", "http://localhost"), ("testserver", "https://first.example")):
        assert client.get(PATH, headers={"host": host}).json()["tokenTargetUrl"] == f"{base}/refunds/saleor/register/"


def test_a_site_that_names_no_saleor_has_no_manifest(client, settings, db):
    settings.REFUND_PLUGIN = MEMORY
    assert client.get(PATH).status_code == 404


def test_the_app_says_who_it_is_and_which_saleors_it_works_with(client, allowed, db):
    told = client.get(PATH).json()
    assert (told["id"], told["version"], told["name"]) == ("wagtail.refund-plugin", __version__, "Refunds")
    assert told["requiredSaleorVersion"] == ">=3.20 <4"


def test_two_sites_that_share_a_saleor_have_different_ids(settings):
    settings.REFUND_PLUGIN = MEMORY | {"INSTALLATION": "staging"}
    assert manifest_for("https://a.example")["id"] == "wagtail.refund-plugin.staging"


def test_no_permission_is_asked_for_that_the_documentation_gives_no_reason_for(allowed):
    told = manifest_for("https://a.example")
    section = (ROOT / "docs" / "saleor.md").read_text().partition("## What the App may do")[2].partition("\n## ")[0]
    documented = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")]
    assert told["permissions"] == list(PERMISSIONS) == documented
    assert "MANAGE_APPS" not in told["permissions"]
    for extension in told["extensions"]:
        assert set(extension["permissions"]) <= set(told["permissions"])


@pytest.mark.parametrize(("schema", "widgets"), [("3.20", 0), ("3.21", 0), ("3.22", 2), ("3.23", 2), ("", 2), ("new", 2)])
def test_saleors_without_widgets_are_offered_the_page_alone(client, allowed, db, schema, widgets):
    told = client.get(PATH, headers={"Saleor-Schema-Version": schema}).json()
    assert [extension["target"] for extension in told["extensions"]] == ["APP_PAGE"] + ["WIDGET"] * widgets


def test_widgets_are_posted_to_so_that_no_token_stands_in_an_address(allowed):
    widgets = [extension for extension in manifest_for("https://a.example")["extensions"] if extension["target"] == "WIDGET"]
    assert {extension["mount"] for extension in widgets} == {"ORDER_DETAILS_WIDGETS", "CUSTOMER_DETAILS_WIDGETS"}
    assert [extension["options"] for extension in widgets] == [{"widgetTarget": {"method": "POST"}}] * 2


def test_what_is_subscribed_to_is_what_the_documents_select(allowed):
    told = manifest_for("https://a.example")
    listened = set()
    for webhook in told["webhooks"]:
        events = {*webhook.get("asyncEvents", ()), *webhook.get("syncEvents", ())}
        assert events == _selected(webhook["query"])
        listened |= events
    assert listened == EVENTS


def _selected(query: str) -> set[str]:
    (operation,) = (node for node in parse(query).definitions if isinstance(node, OperationDefinitionNode))
    (event,) = operation.selection_set.selections
    names = [part.type_condition.name.value for part in event.selection_set.selections if hasattr(part, "type_condition")]
    return {"".join(f"_{letter}" if letter.isupper() else letter for letter in name).strip("_").upper() for name in names}


@pytest.mark.parametrize("version", ["3.22", "3.23"])
@pytest.mark.parametrize("name", SUBSCRIPTIONS)
def test_the_subscriptions_are_valid_in_the_schemas_that_saleor_publishes(name, version):
    schema = published_schema(version)
    assert [error.message for error in validate(schema, parse(documents.document(f"saleor/subscriptions/{name}")))] == []


def test_the_logo_is_a_square_png_of_256_pixels():
    with Image.open(finders.find("refund_plugin/saleor_app/logo.png")) as logo:
        assert (logo.format, logo.size) == ("PNG", (256, 256))
