"""A store that issues vouchers or gift cards, for tests that need no Saleor."""

from __future__ import annotations

from dataclasses import dataclass, field

from refund_plugin.stores.base import CreditKind, CreditTold


@dataclass
class IssuingStore:
    """A store that issues what it is told to, or fails as a test wants."""

    kind: CreditKind | None = CreditKind.VOUCHER
    issued: list[CreditTold] = field(default_factory=list)
    fails: list[BaseException] = field(default_factory=list)

    def incentive_kind(self, store: str) -> CreditKind | None:
        """What it issues."""
        return self.kind

    def issue_credit(self, credit: CreditTold) -> None:
        """Issue it, after the failures."""
        if self.fails:
            raise self.fails.pop(0)
        self.issued.append(credit)

    def keeps_access(self) -> bool:
        """Nobody is told of access."""
        return False

    def keeps_refunds(self) -> bool:
        """Nor of refunds."""
        return False

    def shows_use(self) -> bool:
        """Nor of use."""
        return False
