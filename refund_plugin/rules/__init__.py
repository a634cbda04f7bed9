"""The engine: from a published policy and the facts of a purchase line to a verdict that can explain itself.

Pure Python: no Django, no input or output, no clock. Integers only.
"""

from refund_plugin.rules.clauses import (
    ApprovingClause,
    Clause,
    MoneyBack,
    NonRefundable,
    Share,
    UnknownClause,
    UnusedOnly,
    clause_kinds,
    register_clause,
    unregister_clause,
)
from refund_plugin.rules.conditions import Condition
from refund_plugin.rules.documents import (
    PolicyDocument,
    clause_as_json,
    clause_from_json,
    document_hash,
    dump_document,
    load_document,
)
from refund_plugin.rules.evaluation import evaluate
from refund_plugin.rules.explanation import (
    ClauseText,
    FactLine,
    LineExplanation,
    describe_clause,
    describe_selector,
    explain_line,
)
from refund_plugin.rules.facts import LineFacts, Reading
from refund_plugin.rules.findings import Finding
from refund_plugin.rules.floor import ByLaw, Floor, Right, floor_of
from refund_plugin.rules.language import Language
from refund_plugin.rules.linting import MAX_CLAUSES, about_sales, lint
from refund_plugin.rules.presets import (
    FloorPreset,
    floor_for,
    floor_presets,
    preset_for,
    register_floor_preset,
    unregister_floor_preset,
)
from refund_plugin.rules.pro_rated import ProRated
from refund_plugin.rules.registered import (
    FactRule,
    RegisteredFact,
    read_sources,
    register_fact,
    registered_facts,
    unregister_fact,
)
from refund_plugin.rules.selectors import EVERYTHING, Selector
from refund_plugin.rules.special_clauses import Defective, DuplicatePurchase, Goodwill, StatutoryWithdrawal
from refund_plugin.rules.verdicts import (
    ClauseTrace,
    ConditionResult,
    Held,
    LineVerdict,
    Outcome,
    Reason,
    verdict_bytes,
)

__all__ = [
    "EVERYTHING",
    "MAX_CLAUSES",
    "ApprovingClause",
    "ByLaw",
    "Clause",
    "ClauseText",
    "ClauseTrace",
    "Condition",
    "ConditionResult",
    "Defective",
    "DuplicatePurchase",
    "FactLine",
    "FactRule",
    "Finding",
    "Floor",
    "FloorPreset",
    "Goodwill",
    "Held",
    "Language",
    "LineExplanation",
    "LineFacts",
    "LineVerdict",
    "MoneyBack",
    "NonRefundable",
    "Outcome",
    "PolicyDocument",
    "ProRated",
    "Reading",
    "Reason",
    "RegisteredFact",
    "Right",
    "Selector",
    "Share",
    "StatutoryWithdrawal",
    "UnknownClause",
    "UnusedOnly",
    "about_sales",
    "clause_as_json",
    "clause_from_json",
    "clause_kinds",
    "describe_clause",
    "describe_selector",
    "document_hash",
    "dump_document",
    "evaluate",
    "explain_line",
    "floor_for",
    "floor_of",
    "floor_presets",
    "lint",
    "load_document",
    "preset_for",
    "read_sources",
    "register_clause",
    "register_fact",
    "register_floor_preset",
    "registered_facts",
    "unregister_clause",
    "unregister_fact",
    "unregister_floor_preset",
    "verdict_bytes",
]
