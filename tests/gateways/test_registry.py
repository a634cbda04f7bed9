from __future__ import annotations

import pytest

from refund_plugin.errors import GatewayMisconfigured
from refund_plugin.gateways import registry
from refund_plugin.gateways.memory import MemoryGateway
from refund_plugin.gateways.registry import build_gateway, gateway_kinds, register_gateway


def test_stripe_is_built_from_an_accounts_settings() -> None:
    gateway = build_gateway(
        "stripe", {"kind": "stripe", "api_key": "sk_test_1", "api_base": "http://127.0.0.1:1", "webhook_secret": "whsec_1"}
    )
    assert gateway.kind == "stripe"


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(GatewayMisconfigured, match=r"paypall.*memory, saleor, stripe"):
        build_gateway("paypall", {})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"api_key": ""}, "needs an api_key"),
        ({"api_key": "sk_live_1"}, "other mode"),
        ({"api_key": "sk_test_1", "livemode": True}, "other mode"),
        ({"api_key": "sk_test_1", "account": "main"}, "acct_"),
        ({"api_key": "sk_test_1", "api_keey": "typo"}, "api_keey"),
    ],
)
def test_options_that_cannot_work_are_refused_before_any_money_moves(options: dict[str, object], said: str) -> None:
    with pytest.raises(GatewayMisconfigured, match=said):
        build_gateway("stripe", options)


def test_a_host_can_add_a_gateway_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_factories", dict(registry._factories))
    register_gateway("vouchers", lambda options: MemoryGateway(name=str(options["name"])))
    assert "vouchers" in gateway_kinds()
    assert isinstance(build_gateway("vouchers", {"name": "v"}), MemoryGateway)
