"""The law by country, as data: what it gives, where that is written, and when somebody looked it up.

It is no legal advice. A merchant who sells where the law gives more, or somewhere else, adds a preset of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from refund_plugin.errors import InvalidInput
from refund_plugin.rules.facts import MAX_WINDOW_DAYS, LineFacts
from refund_plugin.rules.floor import Floor


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorPreset:
    """What the law of some countries gives consumers who buy digital content and services at a distance.

    Attributes:
        name: stable, in lower case.
        countries: ISO 3166-1 alpha-2 codes.
        floor: what decides.
        waiver_source: where it says that use ends the right to withdraw from content only with proven consent.
        service_source: where it says what is owed for a service that began at the customer's request.
        reimburse_days, reimburse_source: until when the money has to be back, by the same means of payment and without a fee.
        function_since, function_source: from which day a shop needs an electronic withdrawal function; None where none is asked for.
        checked: the day on which the sources were read.
        implies: what follows for a shop, in plain sentences.
    """

    name: str
    countries: frozenset[str]
    floor: Floor
    waiver_source: str
    service_source: str
    reimburse_days: int
    reimburse_source: str
    function_since: date | None = None
    function_source: str = ""
    checked: date
    implies: tuple[str, ...] = ()


# fmt: off
EU_COUNTRIES = frozenset({
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU",
    "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
})
# fmt: on
EEA_ONLY_COUNTRIES = frozenset({"IS", "LI", "NO"})

_IMPLIES = (
    "A consumer may withdraw within 14 days without a reason; the day of the contract does not count.",
    "Content: using it ends that right only with prior consent, acknowledgement and durable confirmation.",
    "A service that began at the consumer's request: what was provided is paid for, in proportion.",
    "A fault that is reported is looked at, whatever the policy excludes; a refund for it has no fee.",
    "Money goes back within 14 days by the means of payment that was used.",
)
_FUNCTION = "An online shop offers “withdraw from contract here” with a confirmation step and an acknowledgement of receipt."


def _european(name: str, countries: frozenset[str]) -> FloorPreset:
    return FloorPreset(
        name=name,
        countries=countries,
        floor=Floor(
            preset=name,
            weekend_extends=True,
            withdrawal_source="Directive 2011/83/EU, article 9",
            conformity_source="Directive (EU) 2019/770, article 14",
        ),
        waiver_source="Directive 2011/83/EU, article 16(a) and (m)",
        service_source="Directive 2011/83/EU, article 14(3) and (4)",
        reimburse_days=14,
        reimburse_source="Directive 2011/83/EU, article 13(1); Directive (EU) 2019/770, article 18",
        function_since=date(2026, 6, 19),
        function_source="Directive 2011/83/EU, article 11a, as added by Directive (EU) 2023/2673",
        checked=date(2026, 11, 23),
        implies=(*_IMPLIES, _FUNCTION),
    )


_UK = FloorPreset(
    name="uk",
    countries=frozenset({"GB"}),
    floor=Floor(
        preset="uk",
        # Limitation Act 1980 section 5: six years; a fault is looked at as long as a claim could be brought
        conformity_days=6 * 365 + 2,
        withdrawal_source="Consumer Contracts Regulations 2013, regulation 29",
        conformity_source="Consumer Rights Act 2015, sections 42 to 45",
    ),
    waiver_source="Consumer Contracts Regulations 2013, regulation 37",
    service_source="Consumer Contracts Regulations 2013, regulation 36",
    reimburse_days=14,
    reimburse_source="Consumer Contracts Regulations 2013, regulation 34; Consumer Rights Act 2015, section 45",
    checked=date(2026, 11, 23),
    implies=_IMPLIES,
)

_presets: dict[str, FloorPreset] = {}
_by_country: dict[str, Floor] = {}


def register_floor_preset(preset: FloorPreset) -> None:
    """Make a preset known. For its countries it takes the place of what was known before; a name registered again is replaced.

    Raises:
        InvalidInput: no name, a code that is not two capital letters, another name in the floor, or days outside the calendar.
    """
    floor = preset.floor
    if not preset.name or floor.preset != preset.name:
        raise InvalidInput("A preset has a name, and its floor has the same.", field="name")
    if wrong := sorted(code for code in preset.countries if len(code) != 2 or not code.isascii() or not code.isupper()):
        raise InvalidInput(f"Countries are two capital letters by ISO 3166-1, not {wrong[0]!r}.", field="countries")
    if not (0 <= floor.withdrawal_days <= MAX_WINDOW_DAYS and 0 <= floor.conformity_days <= MAX_WINDOW_DAYS):
        raise InvalidInput(f"Windows are 0 to {MAX_WINDOW_DAYS} days.", field="floor")
    _presets.pop(preset.name, None)
    _presets[preset.name] = preset
    _index()


def unregister_floor_preset(name: str) -> None:
    """Forget a preset, as if its plug-in were not installed."""
    _presets.pop(name, None)
    _index()


def floor_presets() -> dict[str, FloorPreset]:
    """Return the known presets by name, in the order in which they were registered."""
    return dict(_presets)


def preset_for(country: str) -> FloorPreset | None:
    """Return the preset that counts for customers in a country; None where none is known."""
    floor = _by_country.get(country.upper())
    return _presets[floor.preset] if floor else None


def floor_for(facts: LineFacts, elsewhere: str = "") -> Floor | None:
    """Return what the law gives the buyer of a line: by their country, and to consumers only (unknown buyers count as such).

    Args:
        elsewhere: name of the preset for countries that have none of their own, and for buyers whose country is not known.
    """
    if facts.buyer_kind == "business":
        return None
    floor = _by_country.get(facts.country.upper())
    if floor is None and elsewhere and (preset := _presets.get(elsewhere)):
        return preset.floor
    return floor


def _index() -> None:
    _by_country.clear()
    _by_country.update({country: preset.floor for preset in _presets.values() for country in preset.countries})


for _preset in (_european("eu", EU_COUNTRIES), _european("eea", EEA_ONLY_COUNTRIES), _UK):
    register_floor_preset(_preset)
