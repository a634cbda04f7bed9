"""Splitting and tax: parts always add up, never negative, never above what was paid."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refund_plugin.errors import ExceedsBalance
from refund_plugin.orders.models import PurchaseLine
from refund_plugin.refunds.reserve import LineGrant, allocate_parts, split_over_payments, tax_of

amounts = st.integers(min_value=0, max_value=10**9)


@given(left=st.lists(amounts, min_size=1, max_size=6), data=st.data())
def test_the_split_over_payments_adds_up_and_takes_no_more_than_is_left(left, data):
    rows = list(enumerate(left))
    total = data.draw(st.integers(min_value=0, max_value=sum(left)))
    chosen = split_over_payments(total_minor=total, left=rows)
    assert sum(amount for _payment, amount in chosen) == total
    assert all(0 <= amount <= left[payment] for payment, amount in chosen)
    assert len({payment for payment, _amount in chosen}) == len(chosen)


@pytest.mark.parametrize(
    ("total", "left", "expected"),
    [
        (500, [(1, 900), (2, 500)], [(2, 500)]),
        (500, [(1, 900), (2, 600)], [(2, 500)]),
        (1000, [(1, 300), (2, 900)], [(1, 100), (2, 900)]),
    ],
)
def test_an_exact_payment_goes_before_the_smallest_that_covers_before_the_largest(total, left, expected):
    assert split_over_payments(total_minor=total, left=left) == expected


def test_more_than_all_payments_have_is_refused():
    with pytest.raises(ExceedsBalance):
        split_over_payments(total_minor=11, left=[(1, 5), (2, 5)])


@st.composite
def grants(draw):
    count = draw(st.integers(min_value=1, max_value=5))
    made = []
    for pk in range(1, count + 1):
        paid = draw(st.integers(min_value=1, max_value=10**7))
        line = PurchaseLine(pk=pk, paid_minor=paid, tax_minor=draw(st.integers(min_value=0, max_value=paid)), quantity=1)
        made.append(LineGrant(line, 1, draw(st.integers(min_value=0, max_value=paid))))
    return made


@given(grants(), st.data())
def test_parts_quantities_and_tax_add_up_over_any_split(given_grants, data):
    total = sum(grant.amount_minor for grant in given_grants)
    cuts = sorted(data.draw(st.lists(st.integers(min_value=0, max_value=total), max_size=3)))
    split = [b - a for a, b in zip([0, *cuts], [*cuts, total], strict=True)]
    groups = allocate_parts(grants=given_grants, amounts=split)
    assert [sum(part.gross_minor for part in group) for group in groups] == split
    for grant in given_grants:
        parts = [part for group in groups for part in group if part.line is grant.line]
        assert sum(part.gross_minor for part in parts) == grant.amount_minor
        assert sum(part.quantity for part in parts) == (1 if grant.amount_minor else 0)
        assert all(0 <= part.tax_minor <= part.gross_minor for part in parts)
        if grant.amount_minor == grant.line.paid_minor:
            assert sum(part.tax_minor for part in parts) == grant.line.tax_minor


@given(paid=st.integers(min_value=1, max_value=10**6), data=st.data())
def test_the_tax_of_repeated_partial_refunds_adds_up_to_the_lines_tax(paid, data):
    line = PurchaseLine(paid_minor=paid, tax_minor=data.draw(st.integers(min_value=0, max_value=paid)))
    refunded = tax = 0
    while refunded < paid:
        gross = data.draw(st.integers(min_value=max(1, paid // 8), max_value=max(1, paid))) if paid - refunded > 1 else 1
        gross = min(gross, paid - refunded)
        part = tax_of(line=line, gross_minor=gross, refunded_gross_minor=refunded, refunded_tax_minor=tax)
        assert 0 <= part <= gross
        refunded, tax = refunded + gross, tax + part
    assert tax == line.tax_minor
