"""The HTTP door: methods, sizes, content types, CSRF, tokens."""

from __future__ import annotations

import json

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from refund_plugin.actor import Action
from refund_plugin.api.models import ServiceToken
from refund_plugin.refunds.models import RefundRequest
from tests.api.conftest import URL
from tests.api.helpers import asked_for, case_id, question
from tests.factories import NOW, make_purchase

pytestmark = pytest.mark.usefixtures("policy")

POLICY = json.dumps({"query": "{ refundPolicy { title } }"})


def test_only_post_is_answered():
    client = Client()
    assert client.get(URL, {"query": "{ refundPolicy { title } }"}).status_code == 405
    assert client.get(URL, headers={"Accept": "text/html"}).status_code == 405
    assert client.put(URL, POLICY, content_type="application/json").status_code == 405


def test_answers_are_never_cached():
    assert "no-store" in Client().post(URL, POLICY, content_type="application/json")["Cache-Control"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_what_a_foreign_page_could_post_without_asking_is_refused(content_type):
    response = Client().post(URL, POLICY, content_type=content_type)
    assert response.status_code == 415
    assert response.json()["errors"][0]["extensions"]["code"] == "UNSUPPORTED_MEDIA_TYPE"


@pytest.mark.parametrize("body", ["{", "[]", "5", '"x"', '{"query": 5}', '{"query": "{ a }", "variables": []}', "\x00"])
def test_a_body_that_is_no_operation_is_told_so(body):
    response = Client().post(URL, body, content_type="application/json")
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    "body", [b"[" * 90_000, b'{"query": "\xff"}', b'{"query": ' + b"9" * 5000 + b"}"], ids=["deep", "no UTF-8", "huge number"]
)
def test_a_body_that_cannot_be_read_is_told_so(body):
    response = Client(raise_request_exception=False).post(URL, body, content_type="application/json")
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


def test_several_operations_in_one_body_are_refused():
    response = Client().post(URL, f"[{POLICY}, {POLICY}]", content_type="application/json")
    assert response.status_code == 400


def test_a_large_body_is_refused(settings):
    settings.REFUND_PLUGIN = {**settings.REFUND_PLUGIN, "GRAPHQL_MAX_BODY_BYTES": 200}
    assert Client().post(URL, POLICY, content_type="application/json").status_code == 200
    response = Client().post(URL, POLICY + " " * 200, content_type="application/json")
    assert response.status_code == 413
    assert "200 bytes" in response.json()["errors"][0]["message"]


def strict(client: Client) -> Client:
    client.handler.enforce_csrf_checks = True
    return client


def test_a_session_without_a_csrf_token_is_refused_and_nothing_changes(send, person):
    ada = person("ada")
    variables = question(make_purchase(user_id=ada.user.pk), email=None)
    answer = send("RefundRequestCreate", variables, client=strict(ada))
    assert (answer.status, answer.failure["extensions"]["code"]) == (403, "CSRF_FAILED")
    assert not RefundRequest.objects.exists()


def test_a_session_with_a_csrf_token_is_answered(send, person):
    ada = strict(person("ada"))
    ada.cookies["csrftoken"] = "a" * 32
    variables = question(make_purchase(user_id=ada.user.pk), email=None)
    assert send("RefundRequestCreate", variables, client=ada, HTTP_X_CSRFTOKEN="b" * 32).status == 403
    assert send("RefundRequestCreate", variables, client=ada, HTTP_X_CSRFTOKEN="a" * 32).codes == []


def test_without_a_session_no_csrf_token_is_needed(send, service_token):
    stranger = strict(Client())
    assert send("RefundRequestCreate", question(make_purchase()), client=stranger).codes == []
    assert send("RefundRequests", client=stranger, token=service_token(Action.VIEW_CASES)).data["totalCount"] == 1


def test_a_token_beside_a_session_is_the_programs_request_and_not_the_persons(send, person, service_token):
    clerk = strict(person("clerk", *Action))
    request = asked_for(make_purchase())
    assert send("RefundRequest", {"id": case_id(request)}, client=clerk, token=service_token()).data is None


@pytest.mark.parametrize("change", [{"revoked_at": NOW}, {"expires_at": NOW}, {"hash": "0" * 64}])
def test_a_token_that_is_not_valid_is_refused(send, service_token, change):
    token = service_token(*Action)
    assert send("RefundRequests", token=token).status == 200
    ServiceToken.objects.update(**change)
    answer = send("RefundRequests", token=token)
    assert (answer.status, answer.failure["extensions"]["code"]) == (401, "INVALID_TOKEN")
    assert send("RefundPolicy", token=token).status == 401


def test_another_schemes_header_is_the_hosts_business(send):
    assert send("RefundPolicy", token="eyJhbGciOi").data["title"] == "Refunds"


def test_a_stranger_costs_no_query_to_find_out_who_it_is(send):
    with CaptureQueriesContext(connection) as queries:
        send("{ __typename }")
    assert len(queries) == 0


@pytest.mark.django_db(transaction=True)
def test_a_host_with_a_transaction_around_every_request_breaks_nothing(send, settings):
    settings.DATABASES["default"]["ATOMIC_REQUESTS"] = True
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        assert send("RefundRequestCreate", question(make_purchase())).codes == []
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
        settings.DATABASES["default"]["ATOMIC_REQUESTS"] = False
