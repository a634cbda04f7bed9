"""A store with a gateway in memory."""

from tests.refunds.conftest import gateway  # noqa: F401
