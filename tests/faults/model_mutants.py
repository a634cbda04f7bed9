"""Protocols with one planted error each: a search that finds nothing wrong with them proves nothing."""

from __future__ import annotations

from refund_plugin.refunds.states import RefundState
from tests.faults.model_protocol import ABSENT, FRESH, KEPT_NO, NO_ANSWER, Ours, Protocol

SENDS = ("send", "replay")


class ResendsBlindly(Protocol):
    """Sends the key again however old it is, instead of looking."""

    def _begin(self, ours: Ours, over: bool) -> tuple[str, Ours]:
        if ours.state == RefundState.UNKNOWN:
            return "replay", ours
        return super()._begin(ours, over)


class TakesSilenceForFailure(Protocol):
    """Calls a call that was not answered a failure, so that a successor is sent."""

    def _record(self, ours: Ours, purpose: str, answer: str, holds: bool, is_news: bool, is_recent: bool) -> Ours:
        if answer == NO_ANSWER and purpose in SENDS and holds:
            return ours._replace(state=str(RefundState.FAILED.value))
        return super()._record(ours, purpose, answer, holds, is_news, is_recent)


class TakesEveryNoForTheEnd(Protocol):
    """Believes that the gateway keeps each "no" under the key, and leaves the key usable."""

    def _record(self, ours: Ours, purpose: str, answer: str, holds: bool, is_news: bool, is_recent: bool) -> Ours:
        return super()._record(ours, purpose, KEPT_NO if answer == "definitive_no" else answer, holds, is_news, is_recent)


class NeverBurns(Protocol):
    """Takes two listings for a proof and leaves the old key usable."""

    def _record(self, ours: Ours, purpose: str, answer: str, holds: bool, is_news: bool, is_recent: bool) -> Ours:
        after = super()._record(ours, purpose, answer, holds, is_news, is_recent)
        return after._replace(state=str(RefundState.FAILED.value)) if answer == ABSENT and after.absences == 2 else after


class BurnsOnOldListings(Protocol):
    """Relies on two listings however long ago they were read."""

    def _begin(self, ours: Ours, over: bool) -> tuple[str, Ours]:
        return super()._begin(ours._replace(absent=FRESH) if ours.absences == 2 else ours, over)


class BelievesOldNews(Protocol):
    """Believes every fact, also one that was told before the refund came to its end."""

    def _record(self, ours: Ours, purpose: str, answer: str, holds: bool, is_news: bool, is_recent: bool) -> Ours:
        return super()._record(ours, purpose, answer, holds, True, is_recent)


class LetsSleepersRefuse(Protocol):
    """Records what a worker without a claim was answered, as if it still had it."""

    def _record(self, ours: Ours, purpose: str, answer: str, holds: bool, is_news: bool, is_recent: bool) -> Ours:
        return super()._record(ours, purpose, answer, True, is_news, is_recent)
