"""The code blocks of `docs/install.md`, so that the tests install the plugin by the very lines a merchant reads."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_BLOCK = re.compile(r"^```python\n# (?P<name>[\w.]+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@cache
def _blocks() -> dict[str, str]:
    text = (ROOT / "docs" / "install.md").read_text()
    return {found["name"]: found["code"] for found in _BLOCK.finditer(text)}


def block(name: str) -> str:
    """Return the block whose first line is the comment `# name`.

    Raises:
        KeyError: the document has none.
    """
    return _blocks()[name]
