"""`consentRecord` and `consentWording`: a headless shop's way into the consent ledger."""

from __future__ import annotations

import pytest

from refund_plugin import content
from refund_plugin.actor import Action
from refund_plugin.content import Wording
from refund_plugin.models import Consent
from refund_plugin.policies.consent import consents_of, wording_hash
from tests.factories import BOUGHT, make_purchase

RECORD = """
mutation ($input: ConsentRecordInput!) {
  consentRecord(input: $input) {
    consentFact { orderNumber sku wordingHash agreedToBegin acknowledged confirmedAt }
    errors { field message code }
  }
}
"""


def told(**changes: object) -> dict[str, object]:
    answer = {
        "orderNumber": "7001",
        "wording": "At once – and I know.",
        "locale": "en",
        "agreedToBegin": True,
        "acknowledged": True,
        "sourceId": "cart-1",
        "givenAt": BOUGHT.isoformat(),
    }
    return {"input": {**answer, **changes}}


@pytest.fixture
def token(service_token) -> str:
    return service_token(Action.RECORD_CONSENT)


def test_an_answer_that_the_shops_own_mail_confirmed_is_proof_once_the_order_is_there(send, store, token):
    answer = send(RECORD, told(confirmedAt=BOUGHT.isoformat()), token=token)
    fact = answer.data["consentFact"]
    assert fact["wordingHash"] == wording_hash("At once – and I know.") and fact["confirmedAt"] is not None
    line = make_purchase(number="7001").lines.get()
    assert consents_of([line.pk]) == {line.pk: True}


def test_told_twice_it_is_one_row(send, token):
    for _n in range(2):
        assert send(RECORD, told(), token=token).codes == []
    assert Consent.objects.count() == 1


def test_only_a_token_of_this_scope_may_record_and_whoever_else_asks_changes_nothing(send, service_token, person, admin_client):
    others = tuple(action for action in Action if action is not Action.RECORD_CONSENT)
    askers = (
        {},
        {"token": service_token(*others)},
        {"token": service_token()},
        {"client": person("sam", *others)},
        {"client": admin_client},
    )
    for options in askers:
        assert send(RECORD, told(), **options).codes == [(None, "NOT_ALLOWED")]
    assert not Consent.objects.exists()


@pytest.mark.parametrize(("changes", "field"), [({"wording": " "}, "wording"), ({"locale": "?"}, "locale"), ({"sourceId": ""}, "sourceId")])
def test_what_cannot_be_used_is_told_with_its_field(send, token, changes, field):
    answer = send(RECORD, told(**changes), token=token)
    assert [error["field"] for error in answer.data["errors"]] == [field]
    assert not Consent.objects.exists()


def test_a_storefront_reads_what_to_ask(send):
    found = send('{ consentWording(nature: SERVICE, locale: "en") { begin acknowledge locale text } }').data
    assert found["text"] == f"{found['begin']}\n{found['acknowledge']}" and found["begin"]


def test_an_introduction_of_the_editors_is_part_of_what_is_read(send, monkeypatch):
    class Editors:
        def wording(self, nature: str, locale: str) -> Wording:
            return Wording("At once.", "I know.", locale, "You may withdraw.")

    monkeypatch.setattr(content, "_consent_wordings", Editors())
    found = send('{ consentWording(locale: "en") { introduction text } }').data
    assert found == {"introduction": "You may withdraw.", "text": "You may withdraw.\nAt once.\nI know."}
