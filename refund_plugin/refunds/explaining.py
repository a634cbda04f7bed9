"""Why a decision of the policy is what it is: one explanation for the web, the API, mail and staff, made again from its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from refund_plugin import content
from refund_plugin.localize import Formatter
from refund_plugin.policies.models import PolicyVersion
from refund_plugin.policies.wording import document_for
from refund_plugin.refunds.models import Decision, RefundRequest
from refund_plugin.refunds.quote import NO_POLICY
from refund_plugin.rules import LineExplanation, LineFacts, LineVerdict, evaluate, explain_line, floor_of


@dataclass(frozen=True, slots=True)
class ExplainedLine:
    """What the policy said about one line, with the facts of that moment, in one reader's language."""

    facts: LineFacts
    verdict: LineVerdict
    explanation: LineExplanation
    version: PolicyVersion | None

    @property
    def clause_url(self) -> str:
        """Where the clause that is cited can be read; "" when none is cited or no page shows it."""
        anchor = self.explanation.clause_anchor
        cites_policy = self.version is not None and anchor and self.verdict.by_law is None
        return content.policy_pages().policy_url(self.version, anchor) if self.version and cites_policy else ""


def engine_decision(request: RefundRequest) -> Decision | None:
    """Return the decision that holds the policy's verdicts; reads the request's decisions, prefetched or not."""
    return next((decision for decision in request.decisions.all() if decision.verdicts), None)


def explain_decision(decision: Decision | None, *, version: PolicyVersion | None, formatter: Formatter) -> Mapping[int, ExplainedLine]:
    """Return the lines that a decision judged, by id; nothing for a decision that judged none.

    The version and the facts of that moment were stored with it, and the law that counted: the same give the same verdict for good.

    Raises:
        PolicyInvalid, InvalidInput: the version or the facts are of a format that this release cannot read.
    """
    if decision is None:
        return {}
    document = document_for(version, formatter.locale) if version else NO_POLICY
    lines = {}
    for stored, recorded in zip(decision.facts, decision.verdicts, strict=True):
        facts = LineFacts.from_json(stored)
        verdict = evaluate(document, facts, int(recorded.get("step", 1)), floor_of(recorded))
        lines[int(facts.line_id)] = ExplainedLine(facts, verdict, explain_line(verdict, document, facts, formatter), version)
    return lines
