"""The store that the API's tests use, for commands."""

from tests.api.conftest import policy, store  # noqa: F401
