"""Protocols through which lower rooms reach what editors wrote; an app with pages registers its implementation in `ready()`."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class FrozenVersion(Protocol):
    """What a page needs to know of a policy version to link to it."""

    @property
    def policy_id(self) -> int:
        """The policy it belongs to."""

    @property
    def number(self) -> int:
        """Its number within that policy."""


class PolicyPages(Protocol):
    """Where people read the refund policy."""

    def policy_url(self, version: FrozenVersion, anchor: str = "") -> str:
        """Return where exactly this version can be read, at the clause `anchor`; "" when no page shows it."""

    def current_policy_url(self, store_id: int) -> str:
        """Return where the store's policy can be read now; "" when no page shows it."""


class NoPolicyPages:
    """Stands in until an app with pages registers: there is nothing to link to."""

    def policy_url(self, version: FrozenVersion, anchor: str = "") -> str:
        """Return ""."""
        return ""

    def current_policy_url(self, store_id: int) -> str:
        """Return ""."""
        return ""


class Wording(NamedTuple):
    """What a customer is asked at the checkout: to begin at once, and to know what that ends. `locale` is its language.

    `introduction` stands above both; "" where there is none.
    """

    begin: str
    acknowledge: str
    locale: str
    introduction: str = ""

    @property
    def text(self) -> str:
        """Everything they read in one piece, as the consent ledger keeps it."""
        return "\n".join(part for part in (self.introduction, self.begin, self.acknowledge) if part)


class ConsentWordings(Protocol):
    """What editors wrote for the checkout."""

    def wording(self, nature: str, locale: str) -> Wording | None:
        """Return the published wording for "content" or "service" in a language; None when there is none."""


class NoConsentWordings:
    """Stands in until an app with pages registers: nobody wrote anything."""

    def wording(self, nature: str, locale: str) -> Wording | None:
        """Return None."""
        return None


_policy_pages: PolicyPages = NoPolicyPages()
_consent_wordings: ConsentWordings = NoConsentWordings()


def register_policy_pages(pages: PolicyPages) -> None:
    """Make `pages` answer from now on; called from `AppConfig.ready()`."""
    global _policy_pages
    _policy_pages = pages


def policy_pages() -> PolicyPages:
    """Return the registered implementation."""
    return _policy_pages


def register_consent_wordings(wordings: ConsentWordings) -> None:
    """Make `wordings` answer from now on; called from `AppConfig.ready()`."""
    global _consent_wordings
    _consent_wordings = wordings


def consent_wordings() -> ConsentWordings:
    """Return the registered implementation."""
    return _consent_wordings
