"""What is wrong with the words beside the clauses: numbers that say something else, hard reading, missing translations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Literal

from refund_plugin.money import EXPONENTS, exponent
from refund_plugin.rules.clauses import Clause
from refund_plugin.rules.documents import PolicyDocument
from refund_plugin.rules.findings import Finding, warning
from refund_plugin.rules.language import gettext_noop

Texts = Mapping[str, Mapping[str, str]]
Unit = Literal["days", "percent", "downloads", "activations"]

# What an editor writes inside a clause, and a translation beside it.
CLAUSE_TEXTS = ("title", "reason", "evidence")
# Words of a text about a clause, and of one sentence of reason: more is read by few.
LONG_TEXT_WORDS = 120
LONG_REASON_WORDS = 60
# The formula says nothing about a few words.
JUDGED_FROM_WORDS = 30
# Languages with long words have high values for easy texts; those written without spaces have none at all.
HARD_LIX = {"de": 60, "nl": 55, "sv": 55, "da": 55, "nb": 55, "fi": 70, "hu": 65, "pl": 60, "ru": 60}
HARD_LIX_ELSEWHERE = 55
WITHOUT_SPACES = frozenset({"ja", "zh", "th", "lo", "km", "my"})

# Units as they follow a number, in many languages at once: an editor may quote another language, and none of these
# words means another unit elsewhere. How many days one of it is; 0 for what is no time.
_UNITS: tuple[tuple[Unit, int, str], ...] = (
    ("days", 1, r"days?|tage?n?s?|tägig\w*|jours?|días?|giorn[oi]|dage?n?|dagar|dias?|dzień|dni|päivää?|дн\w+|день"),
    ("days", 7, r"weeks?|wochen?|wöchig\w*|semaines?|semanas?|settiman[ae]|wek(?:en)?|week|veck(?:a|or)|uger?|tygodn\w+|недел\w+"),
    ("percent", 0, r"%|٪|percent|per cent|prozent|pour cent|por ciento|per cento|procent|por cento|prosent\w*|процент\w*"),
    ("downloads", 0, r"downloads?|herunterladen|téléchargements?|descargas?|scaricament[oi]|nedladdning\w*"),
    ("activations", 0, r"activations?|aktivierung(?:en)?|activaciones|activación|attivazion[ei]|activaties?"),
)
_NUMBER = r"(?<![\w.,])(\d+(?:[.,\u00a0\u202f ]\d{3})*(?:[.,]\d+)?)"
_PATTERNS: list[tuple[Unit, int, re.Pattern[str]]] = [
    (unit, days, re.compile(rf"{_NUMBER}[-\s\u00a0\u202f]*(?:{words})(?!\w)", re.IGNORECASE)) for unit, days, words in _UNITS
]
# These are followed by the next word without a space.
_JOINED: tuple[tuple[Unit, int, str], ...] = (("days", 1, "日間?|天"), ("days", 7, "週間?|周"))
_PATTERNS += [(unit, days, re.compile(rf"{_NUMBER}\s*(?:{words})")) for unit, days, words in _JOINED]
_WORD = re.compile(r"[^\W\d_]+(?:[’'-][^\W\d_]+)*")
_SENTENCE_END = re.compile(r"[.!?:;…。！？](?=\s|$)|\n\s*\n")


def lint_prose(document: PolicyDocument, texts: Texts, locale: str) -> list[Finding]:
    """Return what is wrong with the words in one language, those of the whole policy first.

    Args:
        texts: by clause anchor, "" for the whole policy: `title`, `reason`, `evidence` and `body`, as far as they were written.
        locale: their language, such as "de" or "en-gb".
    """
    findings = [_in(locale, finding) for finding in _about_style(texts.get("", {}).get("body", ""), LONG_TEXT_WORDS, locale)]
    for index, clause in enumerate(document.clauses):
        written = texts.get(clause.anchor, {})
        own = {name: getattr(clause, name, "") for name in CLAUSE_TEXTS}
        words = {name: written.get(name) or own[name] for name in own} | {"body": written.get("body", "")}
        about = [
            *_about_numbers(clause, " \n\n".join(words.values())),
            *_about_style(words["body"], LONG_TEXT_WORDS, locale),
            *_about_style(words["reason"], LONG_REASON_WORDS, locale),
        ]
        findings += [_in(locale, replace(finding, anchor=clause.anchor, index=index)) for finding in about]
    return findings


def lint_translation(document: PolicyDocument, source: Texts, translated: Texts | None, locale: str) -> list[Finding]:
    """Return which words are missing in another language.

    Args:
        source: the words in the policy's own language, as for `lint_prose`.
        translated: None when there is no published translation at all.
    """
    if translated is None:
        text = gettext_noop(
            "There is no published translation into “%(language)s”: customers read your words in the policy's own language."
        )
        return [warning("translation_missing", text, language=locale)]
    findings = []
    if source.get("", {}).get("body") and not translated.get("", {}).get("body"):
        findings.append(warning("words_untranslated", gettext_noop("The introduction is missing in “%(language)s”."), language=locale))
    for index, clause in enumerate(document.clauses):
        own = {name: getattr(clause, name, "") for name in CLAUSE_TEXTS} | {"body": source.get(clause.anchor, {}).get("body", "")}
        if any(text.strip() and not translated.get(clause.anchor, {}).get(name) for name, text in own.items()):
            text = gettext_noop("Words of this clause are missing in “%(language)s”; customers read them untranslated there.")
            findings.append(replace(warning("words_untranslated", text, language=locale), anchor=clause.anchor, index=index))
    return findings


def numbers_in(text: str) -> list[tuple[Unit, Decimal, str]]:
    """Return the numbers with a unit that a text names, weeks as days: the unit, the number, and how it is written there.

    Both 1,000 and 1.000 are a thousand, and 2,5 as well as 2.5 is two and a half.
    """
    found = []
    for unit, days, pattern in _PATTERNS:
        for match in pattern.finditer(text):
            number = _read_number(match[1])
            if number is not None:
                found.append((match.start(), unit, number * (days or 1), match[0]))
    return [(unit, number, written) for _place, unit, number, written in sorted(found)]


def lix(text: str) -> int | None:
    """Return how hard a text is to read: words per sentence plus percent of words above six letters. None without words.

    Source: C. H. Björnsson, "Läsbarhet", 1968; below 30 is very easy, above 60 very hard. It needs no syllables, so it works
    in every language that is written with spaces.
    """
    words = _WORD.findall(text)
    if not words:
        return None
    sentences = max(1, len([part for part in _SENTENCE_END.split(text) if _WORD.search(part)]))
    long = sum(len(word) > 6 for word in words)
    return len(words) // sentences + 100 * long // len(words)


def _in(locale: str, finding: Finding) -> Finding:
    return replace(finding, params=(*finding.params, ("language", locale)))


def _read_number(written: str) -> Decimal | None:
    plain = re.sub(r"[.,\u00a0\u202f ](?=\d{3}(?!\d))", "", written).replace(",", ".")
    try:
        return Decimal(plain)
    except InvalidOperation:
        return None


def _values_of(clause: Clause) -> dict[Unit, set[int]]:
    """Return what the clause says in each unit; a unit of which it says nothing is left out."""
    names: dict[Unit, tuple[str, ...]] = {
        "days": ("window_days", "within_days"),
        "percent": ("percent", "fee_percent", "max_share_viewed_percent"),
        "downloads": ("max_downloads",),
        "activations": ("max_activations",),
    }
    values: dict[Unit, set[int]] = {}
    for unit, fields in names.items():
        found = {value for name in fields if (value := getattr(clause, name, None)) is not None}
        if found:
            values[unit] = found
    if "percent" in values:
        # what is kept is the rest of what is given back
        values["percent"] |= {100 - value for value in values["percent"]}
    return values


def _about_numbers(clause: Clause, text: str) -> Iterator[Finding]:
    values = _values_of(clause)
    for unit, number, written in numbers_in(text):
        if unit in values and number not in values[unit]:
            message = gettext_noop("Your words say “%(written)s”, but the clause says %(values)s. Is that meant?")
            yield warning("number_differs", message, written=written, values=", ".join(str(value) for value in sorted(values[unit])))
    yield from _about_amounts(clause, text)


def _about_amounts(clause: Clause, text: str) -> Iterator[Finding]:
    currency = getattr(clause, "currency", "")
    amounts = {value for name in ("fee_minor", "minimum_minor") if (value := getattr(clause, name, 0))}
    if currency not in EXPONENTS or not amounts:
        return
    sign = {"EUR": "€", "USD": r"\$", "GBP": "£", "JPY": "[¥円]"}.get(currency, currency)
    for match in re.finditer(rf"(?:{currency}|{sign})\s*{_NUMBER}|{_NUMBER}\s*(?:{currency}|{sign})", text):
        number = _read_number(match[1] or match[2])
        if number is not None and number.scaleb(exponent(currency)) not in amounts:
            message = gettext_noop("Your words say “%(written)s”, but the clause says another amount. Is that meant?")
            yield warning("number_differs", message, written=match[0])


def _about_style(text: str, most: int, locale: str) -> Iterator[Finding]:
    language = locale.lower().split("-")[0]
    words = len(_WORD.findall(text))
    if language in WITHOUT_SPACES or not words:
        return
    if words > most:
        message = gettext_noop("This text in “%(language)s” has %(words)d words; people read up to %(most)d. Say it shorter.")
        yield warning("long_text", message, words=words, most=most)
    hardness = lix(text)
    if words >= JUDGED_FROM_WORDS and hardness is not None and hardness > HARD_LIX.get(language, HARD_LIX_ELSEWHERE):
        message = gettext_noop("This text in “%(language)s” is hard to read (LIX %(lix)d). Use shorter sentences and words.")
        yield warning("hard_text", message, lix=hardness)
