"""A refund whose store credit may have been issued is neither sent nor paid in another way, until somebody knows."""

from __future__ import annotations

import pytest

from refund_plugin.actor import Actor, ActorKind
from refund_plugin.clock import now
from refund_plugin.errors import WrongState
from refund_plugin.refunds.manual.services import give_proof, release_claim
from refund_plugin.saleor.errors import SaleorError, SaleorPermissionDenied
from refund_plugin.saleor_app.store_credit import give_store_credit
from tests.saleor.dashboard.test_store_credit import MAY, actor, approve, case, kind, saleor_options, sent_money  # noqa: F401  # fixtures
from tests.saleor.standin.traps import Fault


def colleague(of) -> Actor:
    """Return somebody who may approve in the site's admin."""
    return Actor(kind=ActorKind.STAFF, id="7", store_id=of.store_id, actions=MAY, label="Bo")


@pytest.mark.parametrize("executed", [False, True])
def test_after_a_lost_answer_nobody_gives_the_refund_back_or_pays_it_otherwise(case, saleor, executed):  # noqa: F811
    refund = approve(case)
    saleor.traps.add(Fault("drop", operation="GiftCardCreate", executed=executed))
    with pytest.raises(SaleorError):
        give_store_credit(refund_id=refund.pk, by=actor(case), now=now())
    with pytest.raises(WrongState, match="Store credit may have been issued"):
        release_claim(refund_id=refund.pk, by=colleague(case), now=now())
    with pytest.raises(WrongState, match="Store credit may have been issued"):
        give_proof(refund_id=refund.pk, by=colleague(case), method="bank", reference="SEPA 1", paid_on=now().date(), now=now())
    assert sent_money() == 0
    done = give_store_credit(refund_id=refund.pk, by=actor(case), now=now())
    assert done.state == "manual_paid" and len(saleor.world.gift_cards) == 1


def test_after_a_definite_no_the_refund_can_be_given_back_and_the_money_is_sent(case, installed, saleor):  # noqa: F811
    refund = approve(case)
    installed.app.permissions.remove("MANAGE_GIFT_CARD")
    with pytest.raises(SaleorPermissionDenied):
        give_store_credit(refund_id=refund.pk, by=actor(case), now=now())
    release_claim(refund_id=refund.pk, by=colleague(case), now=now())
    assert sent_money() == 1820 and not saleor.world.gift_cards
