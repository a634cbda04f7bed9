"""The linter reads the words beside the clauses: numbers that differ, hard reading, missing translations."""

from __future__ import annotations

from decimal import Decimal

import pytest

from refund_plugin.rules import Defective, MoneyBack, NonRefundable, ProRated, UnusedOnly
from refund_plugin.rules.linting_prose import lint_prose, lint_translation, lix, numbers_in
from tests.rules.building import policy

GUARANTEE = MoneyBack(anchor="g", window_days=30)


def codes(clause, locale="en", **words):
    return [finding.code for finding in lint_prose(policy(clause), {clause.anchor: words}, locale)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Ask within 30 days.", [("days", 30)]),
        ("a 30-day guarantee", [("days", 30)]),
        ("2 weeks, then 50%", [("days", 14), ("percent", 50)]),
        ("14\u00a0Tage oder 2,5\u202f% Gebühr", [("days", 14), ("percent", Decimal("2.5"))]),
        ("eine 30-tägige Garantie", [("days", 30)]),
        ("sous 14 jours, 1 000 jours", [("days", 14), ("days", 1000)]),
        ("1.000 Tage, 1,000 days", [("days", 1000), ("days", 1000)]),
        ("30日間", [("days", 30)]),
        ("٣٠ days", [("days", 30)]),
        ("3 downloads and 2 activations", [("downloads", 3), ("activations", 2)]),
        ("version 3.14 of 30 daydreams", []),
        ("30 products", []),
    ],
)
def test_numbers_are_read_with_their_units_as_languages_write_them(text, found):
    assert [(unit, number) for unit, number, _written in numbers_in(text)] == found


@pytest.mark.parametrize(
    ("locale", "body"),
    [("en", "You have 14 days."), ("de", "Du hast 2 Wochen."), ("fr", "Vous avez 14 jours."), ("ja", "14日間です。")],
)
def test_words_that_name_another_window_than_the_clause_are_told_at_the_clause(locale, body):
    (finding,) = lint_prose(policy(GUARANTEE), {"g": {"body": body}}, locale)
    assert (finding.severity, finding.code, finding.anchor, finding.index) == ("warning", "number_differs", "g", 0)
    assert "but the clause says 30" in finding.text()


@pytest.mark.parametrize(
    ("clause", "body"),
    [
        (GUARANTEE, "All of 30 days."),
        (MoneyBack(anchor="g", window_days=14), "That is 2 weeks."),
        (MoneyBack(anchor="g", window_days=30, percent=80), "We keep 20 % and give 80 % back."),
        (UnusedOnly(anchor="g", window_days=30, max_downloads=2), "With 2 downloads at most."),
        (NonRefundable(anchor="g", reason="Final."), "It was sold 14 days before it ends, at 70% off."),
        (ProRated(anchor="g", fee_minor=500, currency="EUR"), "We keep 5.00 EUR, that is 5 €."),
    ],
)
def test_words_that_say_what_the_clause_says_or_what_it_is_silent_about_are_fine(clause, body):
    assert codes(clause, body=body) == []


def test_an_amount_that_differs_from_the_fee_is_told():
    assert codes(ProRated(anchor="g", fee_minor=500, currency="EUR"), body="We keep €7.50.") == ["number_differs"]


def test_the_editors_own_title_is_compared_too():
    assert codes(MoneyBack(anchor="g", window_days=30, title="60-day promise")) == ["number_differs"]


EASY = (
    "You can ask us for your money. We read it. We send it back to you. It takes a few days. Ask us if you need help with it at all. "
    "We are here."
)
HARD = (
    "Notwithstanding aforementioned contractual stipulations, reimbursement entitlements presuppose comprehensive documentation "
    "demonstrating demonstrable functional deficiencies attributable exclusively to circumstances preceding acquisition, whereupon "
    "responsible departments conclusively determine eligibility considering proportionality and circumstances."
)


def test_hard_words_are_told_and_easy_ones_are_not():
    assert codes(GUARANTEE, body=f"{HARD} {HARD}") == ["hard_text"]
    assert codes(GUARANTEE, body=EASY) == []
    assert lix(EASY) < 30 < 60 < lix(HARD)


def test_each_language_has_its_own_measure():
    german = (
        "Innerhalb der genannten Rückgabefrist erstatten wir den vollständigen Kaufpreis, sofern nichts heruntergeladen oder "
        "freigeschaltet wurde. Unsere Mitarbeiter melden sich danach möglichst schnell bei Ihnen und beantworten alle offenen Fragen "
        "sehr ausführlich."
    )
    assert codes(GUARANTEE, "de-at", body=german) == []
    assert codes(GUARANTEE, "en", body=german) == ["hard_text"]
    assert codes(GUARANTEE, "ja", body=f"{HARD} {HARD}") == []


def test_a_text_that_is_too_long_is_told_with_its_words():
    (finding,) = lint_prose(policy(), {"": {"body": "We help you. " * 50}}, "en")
    assert (finding.code, finding.index) == ("long_text", None)
    assert "has 150 words; people read up to 120" in finding.text()


def test_a_reason_is_a_sentence_or_two():
    assert codes(NonRefundable(anchor="g", reason="It was on sale. " * 20)) == ["long_text"]


def test_a_language_without_a_translation_is_told():
    (finding,) = lint_translation(policy(GUARANTEE), {}, None, "de")
    assert (finding.code, finding.text()[:48]) == ("translation_missing", "There is no published translation into “de”: cus")


def test_words_that_are_missing_in_a_translation_are_told_at_their_clause():
    document = policy(
        GUARANTEE,
        NonRefundable(anchor="final", title="Final sale", reason="It was cheap."),
        Defective(anchor="broken", evidence="A picture."),
    )
    source = {"": {"body": "Hello."}, "g": {"body": "We mean it."}}
    done = {"": {"body": "Hallo."}, "g": {"body": "Ehrlich."}, "final": {"title": "Ausverkauf", "reason": "Es war billig."}}
    done["broken"] = {"evidence": "Ein Bild."}
    assert lint_translation(document, source, done, "de") == []
    for anchor, part, index in (
        ("", "body", None),
        ("g", "body", 0),
        ("final", "title", 1),
        ("final", "reason", 1),
        ("broken", "evidence", 2),
    ):
        missing = {key: {name: text for name, text in texts.items() if (key, name) != (anchor, part)} for key, texts in done.items()}
        assert [(finding.code, finding.index) for finding in lint_translation(document, source, missing, "de")] == [
            ("words_untranslated", index)
        ]
