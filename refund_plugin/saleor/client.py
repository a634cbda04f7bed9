"""The typed client of one Saleor's API: documents of `graphql/saleor/` by name, errors as exceptions, reads retried, mutations never."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from gql import GraphQLRequest

from refund_plugin.saleor import installations
from refund_plugin.saleor.addresses import checked
from refund_plugin.saleor.answers import Answer, Cost, DocumentRejected, HttpAnswer, read_answer
from refund_plugin.saleor.errors import (
    SaleorAnswerTooLong,
    SaleorError,
    SaleorPermissionDenied,
    SaleorRateLimited,
    SaleorTokenInvalid,
    SaleorUnreachable,
)
from refund_plugin.saleor.models import SaleorInstallation
from refund_plugin.saleor.operations import Operation, is_same_everywhere, operation
from refund_plugin.saleor.secrets import decrypt, encrypt, is_newest
from refund_plugin.saleor.transport import NoAnswer, SaleorTransport, TooLong
from refund_plugin.saleor.versions import OLDEST, Version, check_version

logger = logging.getLogger(__name__)

DEFAULT_TIMEOUT_SECONDS = 10.0
DEFAULT_ATTEMPTS = 3
FIRST_PAUSE_SECONDS = 0.4
LONGEST_PAUSE_SECONDS = 10.0


class ClientBase:
    """What both clients are: which Saleor, which version, and when a read is tried again.

    Args:
        api_url: `https://shop.example/graphql/`; plain http for localhost alone.
        token: of the App there; "" reads what everybody may.
        timeout_seconds: for one call, from its beginning to the last byte of the answer.
        installation_slug: for logs.
        version: of this Saleor, such as "3.23.1"; when it is "", it is asked for as soon as it matters.
        on_version: told when this Saleor turns out to be of another version.
        attempts: how often a read is tried in all.
    Raises:
        AddressRefused: not an address that a token may be sent to.
        SaleorVersionUnsupported: too old.
    """

    def __init__(
        self,
        api_url: str,
        *,
        installation_slug: str = "",
        version: str = "",
        on_version: Callable[[str], None] | None = None,
        attempts: int = DEFAULT_ATTEMPTS,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.api_url = checked(api_url)
        self.installation_slug = installation_slug
        self.cost: Cost | None = None
        self._version = check_version(version) if version else None
        self._on_version = on_version
        self._attempts = attempts
        self._chance = chance

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.api_url!r})"

    def _request(self, asked: Operation, variables: Mapping[str, object]) -> GraphQLRequest:
        return GraphQLRequest(asked.document, variable_values=_plain(variables), operation_name=asked.name)

    def _read(self, asked: Operation, answer: HttpAnswer) -> Answer:
        read = read_answer(asked, answer)
        self.cost = read.cost or self.cost
        return read

    def _found_version(self, text: str) -> Version:
        version = check_version(text)
        if self._on_version and version != self._version:
            self._on_version(text)
        self._version = version
        return version

    def _pause(self, asked: Operation, error: SaleorError, attempt: int) -> float | None:
        """Return the seconds to wait before a read is tried again; None when it is not."""
        if asked.is_mutation or attempt >= self._attempts:
            return None
        if isinstance(error, SaleorRateLimited):
            return error.retry_after_seconds if error.retry_after_seconds <= LONGEST_PAUSE_SECONDS else None
        if isinstance(error, SaleorUnreachable) and not isinstance(error, SaleorAnswerTooLong):
            longest = min(FIRST_PAUSE_SECONDS * 2.0**attempt, LONGEST_PAUSE_SECONDS)
            return longest / 2 + self._chance() * longest / 2
        return None

    def _no_answer(self, asked: Operation, error: NoAnswer) -> SaleorUnreachable:
        logger.warning("Saleor %s: %s got no answer (%s)", self.installation_slug or self.api_url, asked.name, error)
        kind = SaleorAnswerTooLong if isinstance(error, TooLong) else SaleorUnreachable
        return kind(asked.name, f"{kind.default_message} ({error})", maybe_executed=asked.is_mutation and error.was_sent)


class SaleorClient(ClientBase):
    """Calls from tasks, commands and services; may be shared between threads. Arguments as of `ClientBase`."""

    def __init__(
        self,
        api_url: str,
        token: str,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
        **options: Any,
    ) -> None:
        super().__init__(api_url, **options)
        self._transport = SaleorTransport(self.api_url, token, timeout_seconds=timeout_seconds)
        self._sleep = sleep

    def execute(self, name: str, **variables: object) -> dict[str, Any]:
        """Send the document `graphql/saleor/<name>.graphql` and return its data; decimals are `Decimal`.

        Args:
            variables: by their names in the document; decimals, dates, UUIDs and enums are written as Saleor reads them.
        Raises:
            SaleorError: the subclass that fits, with the operation's name. A mutation is sent once: see `maybe_executed`.
        """
        try:
            return self._execute(name, variables)
        except DocumentRejected as error:
            before = self._version
            if self._ask_version() == before:
                raise
            logger.warning("Saleor %s is of version %s now: %s is sent anew", self.installation_slug, self._version, error.operation)
            return self._execute(name, variables)
        except SaleorPermissionDenied as error:
            raise self._explained(error) from error

    def version(self) -> Version:
        """Return this Saleor's version; asked for once.

        Raises:
            SaleorVersionUnsupported: too old, or not a Saleor.
        """
        return self._version or self._ask_version()

    def close(self) -> None:
        """Give the connections back."""
        self._transport.close()

    def _execute(self, name: str, variables: Mapping[str, object]) -> dict[str, Any]:
        asked = operation(name, OLDEST if is_same_everywhere(name) else self.version())
        attempt = 1
        while True:
            try:
                return self._once(asked, variables)
            except (SaleorUnreachable, SaleorRateLimited) as error:
                pause = self._pause(asked, error, attempt)
                if pause is None:
                    raise
                self._sleep(pause)
            attempt += 1

    def _once(self, asked: Operation, variables: Mapping[str, object]) -> dict[str, Any]:
        try:
            answer = self._transport.post(self._request(asked, variables))
        except NoAnswer as error:
            raise self._no_answer(asked, error) from error
        return self._read(asked, answer).data

    def _ask_version(self) -> Version:
        return self._found_version(str(self._execute("ShopVersion", {})["shop"]["version"]))

    def _explained(self, error: SaleorPermissionDenied) -> SaleorError:
        """Ask what we may do, so that the error names what is missing; a token that is not known is told from one that may too little."""
        try:
            app = self._execute("AppRead", {})["app"]
        except SaleorTokenInvalid:
            return SaleorTokenInvalid(error.operation, maybe_executed=error.maybe_executed)
        except SaleorError:
            return error
        return narrowed(error, app)


def narrowed(error: SaleorPermissionDenied, app: Mapping[str, Any] | None) -> SaleorError:
    """Return the error with those permissions alone that the App lacks, as it says itself."""
    if not app:
        return SaleorTokenInvalid(error.operation, maybe_executed=error.maybe_executed)
    granted = {entry["code"] for entry in app.get("permissions") or ()}
    missing = [name for name in error.permissions if name not in granted]
    return SaleorPermissionDenied(error.operation, missing, maybe_executed=error.maybe_executed)


def client_for(slug: str, **options: Any) -> SaleorClient:
    """Return a client of an installation, with its token.

    Args:
        options: as of `SaleorClient`, such as `timeout_seconds`.
    Raises:
        NotInstalled: unknown, or the App was removed.
        SecretUnreadable: the token cannot be decrypted.
    """
    installation = installations.active_installation(slug=slug)
    return SaleorClient(
        installation.api_url,
        decrypt(installation.token_encrypted),
        installation_slug=installation.slug,
        version=installation.version,
        on_version=lambda found: installations.keep_version(slug=slug, version=found),
        **options,
    )


def renew_token(installation: SaleorInstallation) -> bool:
    """Encrypt an installation's token with the newest key, so that older keys may be taken out of the settings; True when it was not.

    Raises:
        SecretUnreadable: the token cannot be decrypted.
    """
    kept = installation.token_encrypted
    if not kept or is_newest(kept):
        return False
    renewed = encrypt(decrypt(kept))
    # a token that an installation brings meanwhile stays
    changed = SaleorInstallation.objects.filter(pk=installation.pk, token_encrypted=kept).update(token_encrypted=renewed)
    if changed:
        installation.token_encrypted = renewed
    return bool(changed)


def _plain(value: Any) -> Any:
    """Write a value as JSON holds it; decimals as text, which Saleor reads exactly."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):  # and datetime
        return value.isoformat()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    return value
