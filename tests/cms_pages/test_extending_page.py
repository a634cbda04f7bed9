"""The page that builds a clause kind and a fact of one's own is executed as it stands, from the block to the customer's answer."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest
from django.urls import reverse

from cms_pages import blocks as clause_blocks
from cms_pages.blocks import ClausesBlock
from cms_pages.models import RefundPolicyPage
from refund_plugin import clock
from refund_plugin.policies.queries import load_version, policy_for_key
from refund_plugin.refunds.quote import quote_purchase
from refund_plugin.rules import Outcome, Reason, explain_line, unregister_clause, unregister_fact
from tests.cms_pages.examples import EMPTY_SELECTOR, stored_clauses
from tests.docs.test_documentation import _fences, _text
from tests.factories import COURSE, MEMORY, make_purchase
from tests.rules.building import ENGLISH

pytestmark = pytest.mark.django_db


def shown(name: str) -> str:
    """The code that the page shows for this file."""
    return next(text for text in _fences(_text("extending.md"), "python") if text.startswith(f"# {name}.py"))


@pytest.fixture
def mysite(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A site that copied the page's code into its own modules."""
    for name in ("mysite", "mysite.clauses", "mysite.blocks", "mysite.facts"):
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        if "." in name:
            exec(compile(shown(name.partition(".")[2]), f"{name}.py", "exec"), module.__dict__)
    yield
    unregister_clause("half_back")
    unregister_fact("exams_taken")
    unregister_fact("certificate_issued")
    clause_blocks._clause_blocks.pop("half_back", None)


@pytest.fixture
def page_with(mysite: None, make_page: Callable[..., RefundPolicyPage], monkeypatch: pytest.MonkeyPatch) -> Callable[..., RefundPolicyPage]:
    """Make a policy page in a site that started with these modules: the field looks up its blocks once, when it is first used."""
    field = RefundPolicyPage._meta.get_field("clauses")
    monkeypatch.setattr(field, "stream_block", ClausesBlock())
    return make_page


HALF = {"type": "half_back", "value": {"title": "", "selector": EMPTY_SELECTOR, "anchor": "half", "window_days": 14}}
FEW_EXAMS = {"type": "item", "id": "few", "value": {"fact": "exams_taken", "compare": "at_most", "number": 2}}


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"exams_taken": 1}, "The clause “Half your money back” gives you 14.94 EUR back."),
        ({"exams_taken": 3}, "The clause “Half your money back” needs this: Exams taken: at most 2; we found 3."),
        ({}, None),
    ],
    ids=["the fact is so", "the fact is not so", "nobody knows"],
)
def test_a_kind_and_a_fact_of_ones_own_are_written_frozen_and_decide(
    page_with: Callable[..., RefundPolicyPage], settings: Any, metadata: dict[str, int], said: str | None
) -> None:
    settings.REFUND_PLUGIN = settings.REFUND_PLUGIN | MEMORY
    page = page_with({**HALF, "value": {**HALF["value"], "requires": [FEW_EXAMS]}})
    assert stored_clauses(page)[0]["type"] == "half_back"
    purchase = make_purchase(lines=[COURSE], purchased_at=clock.now())
    purchase.lines.update(metadata=metadata)
    (line,) = quote_purchase(purchase=purchase, now=clock.now() + timedelta(days=2)).lines
    if said is None:
        assert (line.verdict.outcome, line.verdict.reason) == (Outcome.REVIEW, Reason.FACT_MISSING)
        return
    version = policy_for_key(page.policy_key).versions.get()
    assert explain_line(line.verdict, load_version(version), line.facts, ENGLISH).sentence == said


def test_a_kind_of_ones_own_is_offered_to_editors_with_its_value(
    page_with: Callable[..., RefundPolicyPage], client: Any, editor: Any
) -> None:
    page = page_with(HALF)
    text = client.get(reverse("wagtailadmin_pages:edit", args=[page.pk])).content.decode()
    assert "half_back" in text
    assert "window_days" in text
