"""The versions of Saleor that we speak to: from 3.20, tested up to 3.23; a newer one is warned of and tried.

3.23 has no digital content any more, 3.22 brought refund reasons; what differs is in `graphql/saleor/`, see `operations.py`.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import NamedTuple

from django.utils.translation import gettext as _

from refund_plugin.saleor.errors import SaleorVersionUnsupported

logger = logging.getLogger(__name__)

_FORM = re.compile(r"^\s*v?(\d{1,4})\.(\d{1,4})(?!\d)")


class Version(NamedTuple):
    """Major and minor; patches change no schema."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


OLDEST = Version(3, 20)
NEWEST = Version(3, 23)


def read_version(text: str) -> Version:
    """Read "3.23.28" or "3.24.0-a.1".

    Raises:
        SaleorVersionUnsupported: not a version.
    """
    found = _FORM.match(text)
    if found is None:
        raise SaleorVersionUnsupported("", _("Saleor told no version that we can read. Is the API address that of a Saleor?"))
    return Version(int(found[1]), int(found[2]))


def check_version(text: str) -> Version:
    """Return the version when we can work with it; one that is newer than we know is logged as a warning, once.

    Raises:
        SaleorVersionUnsupported: too old, or not a version.
    """
    version = read_version(text)
    if version < OLDEST:
        told = _("This Saleor is version %(found)s, and the refund App needs %(oldest)s or newer. Update Saleor, then install the App.")
        raise SaleorVersionUnsupported("", told % {"found": version, "oldest": OLDEST})
    if version > NEWEST:
        _warn(version)
    return version


@lru_cache(maxsize=32)
def _warn(version: Version) -> None:
    logger.warning("Saleor %s is newer than %s, the newest version this package was tested with", version, NEWEST)
