"""Reading form parameters as strictly as Stripe: nested keys, typed values, and nothing that is not known."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qsl

from demo.sandbox.errors import ApiError

MAX_METADATA_KEYS = 50
MAX_METADATA_KEY_LENGTH = 40
MAX_METADATA_VALUE_LENGTH = 500

Form = dict[str, Any]


def parse_form(text: str) -> Form:
    """Parse `a=1&metadata[b]=2&expand[]=c` into nested dictionaries of strings; arrays become {"0": …, "1": …}."""
    form: Form = {}
    for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=1000):
        parts = [part.strip("[]") for part in re.findall(r"^[^\[]+|\[[^\[\]]*\]", name)]
        place: Any = form
        for part in parts[:-1]:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ApiError(400, f"Invalid hash: {name}", param=parts[0])
        last = parts[-1] if parts else name
        place[last or str(len(place))] = value
    return form


class Params:
    """The parameters of one call; each is read once by name, and `finish` refuses what nobody read."""

    def __init__(self, form: Form, place: str = "") -> None:
        self._form = form
        self._place = place  # the name of the parameter that this is inside of
        self._known: set[str] = set()
        self._inner: list[Params] = []

    def raw(self, name: str) -> Any:
        """Return the value as it came: a string, a dictionary, or None when absent."""
        self._known.add(name)
        return self._form.get(name)

    def string(self, name: str, *, required: bool = False, choices: Collection[str] | None = None) -> str | None:
        """Read a string, optionally one of `choices`."""
        value = self.raw(name)
        if value is None:
            if required:
                raise ApiError(400, f"Missing required param: {name}.", code="parameter_missing", param=name)
            return None
        if not isinstance(value, str):
            raise ApiError(400, f"Invalid string: {value}", param=name)
        if value == "":
            raise ApiError(
                400,
                f"You passed an empty string for '{name}'. We assume empty values are an attempt to unset a parameter; however "
                f"'{name}' cannot be unset. You should remove '{name}' from your request or supply a non-empty value.",
                code="parameter_invalid_empty",
                param=name,
            )
        if choices is not None and value not in choices:
            *first, last = sorted(choices)
            raise ApiError(400, f"Invalid {name}: must be one of {', '.join(first)}, or {last}", param=name)
        return value

    def integer(self, name: str, *, required: bool = False, minimum: int | None = None, maximum: int | None = None) -> int | None:
        """Read a whole number between `minimum` and `maximum`."""
        text = self.string(name, required=required)
        if text is None:
            return None
        if not re.fullmatch(r"-?[0-9]{1,18}", text):
            raise ApiError(400, f"Invalid integer: {text}", code="parameter_invalid_integer", param=name)
        value = int(text)
        if minimum is not None and value < minimum:
            message = f"This value must be greater than or equal to {minimum}."
            raise ApiError(400, message, code="parameter_invalid_integer", param=name)
        if maximum is not None and value > maximum:
            raise ApiError(400, f"This value must be less than or equal to {maximum}.", code="parameter_invalid_integer", param=name)
        return value

    def boolean(self, name: str) -> bool:
        """Read "true" or "false"; absent is false."""
        text = self.string(name)
        if text not in (None, "true", "false"):
            raise ApiError(400, f"Invalid boolean: {text}", param=name)
        return text == "true"

    def strings(self, name: str) -> list[str]:
        """Read an array of strings."""
        value = self.raw(name)
        if value is None or value == "":
            return []
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise ApiError(400, "Invalid array", param=name)
        return list(value.values())

    def inside(self, name: str) -> Params | None:
        """Read a parameter that has parameters of its own."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise ApiError(400, "Invalid object", param=name)
        self._inner.append(Params(value, f"{self._place}[{name}]" if self._place else name))
        return self._inner[-1]

    def each(self, name: str) -> list[Params]:
        """Read an array of parameters that have parameters of their own."""
        outer = self.inside(name)
        return [] if outer is None else [item for key in list(outer._form) if (item := outer.inside(key)) is not None]

    def metadata(self) -> dict[str, str] | None:
        """Read metadata: None when absent, {} to clear everything, and an empty value to remove one key."""
        value = self.raw("metadata")
        if value is None:
            return None
        if value == "":
            return {}
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise ApiError(400, "Invalid metadata: metadata must be a set of key-value pairs with string values", param="metadata")
        for key, text in value.items():
            if len(key) > MAX_METADATA_KEY_LENGTH:
                message = f"Metadata keys can be up to {MAX_METADATA_KEY_LENGTH} characters, but you passed in a key of {len(key)}."
                raise ApiError(400, message, param="metadata")
            if len(text) > MAX_METADATA_VALUE_LENGTH:
                message = (
                    f"Metadata values can have up to {MAX_METADATA_VALUE_LENGTH} characters, but you passed in a value of {len(text)}."
                )
                raise ApiError(400, message, param=f"metadata[{key}]")
        return dict(value)

    def created(self) -> dict[str, int]:
        """Read the `created` filter: a time, or a set of gt, gte, lt, lte (Unix seconds)."""
        value = self.raw("created")
        if value is None:
            return {}
        bounds = value if isinstance(value, dict) else {"gte": value, "lte": value}
        if not set(bounds) <= {"gt", "gte", "lt", "lte"} or not all(re.fullmatch(r"[0-9]{1,12}", str(item)) for item in bounds.values()):
            raise ApiError(400, "Invalid timestamp filter: created", param="created")
        return {name: int(item) for name, item in bounds.items()}

    def finish(self) -> None:
        """Refuse parameters that nobody read."""
        for name in self._form:
            if name not in self._known:
                place = f"{self._place}[{name}]" if self._place else name
                raise ApiError(400, f"Received unknown parameter: {place}", code="parameter_unknown", param=place)
        for inner in self._inner:
            inner.finish()


def merge_metadata(present: dict[str, str], change: dict[str, str] | None) -> dict[str, str]:
    """Apply an update of metadata: {} clears, an empty value removes its key."""
    if change is None:
        return present
    if not change:
        return {}
    merged = {key: value for key, value in {**present, **change}.items() if value != ""}
    if len(merged) > MAX_METADATA_KEYS:
        raise ApiError(400, f"You can have up to {MAX_METADATA_KEYS} metadata keys.", param="metadata")
    return merged
