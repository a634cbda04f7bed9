"""The same client for asynchronous views, on httpx; one event loop at a time, closed by `async with`."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Generator, Mapping
from functools import lru_cache
from types import TracebackType
from typing import Any

import httpx
from asgiref.sync import sync_to_async
from gql import GraphQLRequest
from gql.transport.httpx import HTTPXAsyncTransport

from refund_plugin.saleor import installations
from refund_plugin.saleor.answers import DocumentRejected, HttpAnswer
from refund_plugin.saleor.client import DEFAULT_TIMEOUT_SECONDS, ClientBase, narrowed
from refund_plugin.saleor.errors import SaleorError, SaleorPermissionDenied, SaleorRateLimited, SaleorTokenInvalid, SaleorUnreachable
from refund_plugin.saleor.operations import Operation, is_same_everywhere, operation
from refund_plugin.saleor.secrets import decrypt
from refund_plugin.saleor.transport import CONNECT_SECONDS, MAX_ANSWER_BYTES, USER_AGENT, NoAnswer, TooLong
from refund_plugin.saleor.versions import OLDEST, Version


@lru_cache(maxsize=1)
def _trusted() -> ssl.SSLContext:
    """Return what TLS is verified with; made once, because reading all authorities takes longer than a call."""
    return httpx.create_ssl_context()


class BearerAuth(httpx.Auth):
    """Sends the token; as an object of its own, so that no `.netrc` takes its place. Its `repr` holds no token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the header."""
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class AsyncSaleorTransport(HTTPXAsyncTransport):
    """gql's transport on httpx, which reads no more of an answer than it should."""

    def __init__(self, url: str, token: str, *, timeout_seconds: float) -> None:
        super().__init__(url)
        self._timeout_seconds = timeout_seconds
        self.client = httpx.AsyncClient(
            auth=BearerAuth(token),
            headers={"User-Agent": USER_AGENT},
            timeout=httpx.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds)),
            follow_redirects=False,
            verify=_trusted(),
        )

    async def post(self, request: GraphQLRequest) -> HttpAnswer:
        """Send a request once.

        Raises:
            NoAnswer: no connection, time over, or too long an answer.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._exchange(request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise NoAnswer(type(error).__name__, was_sent=False) from error
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise NoAnswer(type(error).__name__) from error

    async def _exchange(self, request: GraphQLRequest) -> HttpAnswer:
        assert self.client is not None
        body = bytearray()
        async with self.client.stream("POST", str(self.url), json=request.payload) as response:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise TooLong(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
            headers = {name.lower(): value for name, value in response.headers.items()}
            return HttpAnswer(response.status_code, headers, bytes(body))

    async def close(self) -> None:
        """Give the connections back."""
        if self.client is not None:
            await self.client.aclose()


class AsyncSaleorClient(ClientBase):
    """As `SaleorClient`, to be awaited.

    async with await async_client_for("shop") as client:
        data = await client.execute("OrderById", id=order_id, metadataKeys=[])
        order = mapping.order(data["order"])
    """

    def __init__(
        self,
        api_url: str,
        token: str,
        *,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        **options: Any,
    ) -> None:
        super().__init__(api_url, **options)
        self._transport = AsyncSaleorTransport(self.api_url, token, timeout_seconds=timeout_seconds)
        self._sleep = sleep

    async def __aenter__(self) -> AsyncSaleorClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def execute(self, name: str, **variables: object) -> dict[str, Any]:
        """Send a document and return its data; see `SaleorClient.execute`."""
        try:
            return await self._execute(name, variables)
        except DocumentRejected:
            before = self._version
            if await self._ask_version() == before:
                raise
            return await self._execute(name, variables)
        except SaleorPermissionDenied as error:
            raise await self._explained(error) from error

    async def version(self) -> Version:
        """Return this Saleor's version; asked for once."""
        return self._version or await self._ask_version()

    async def close(self) -> None:
        """Give the connections back."""
        await self._transport.close()

    async def _execute(self, name: str, variables: Mapping[str, object]) -> dict[str, Any]:
        asked = operation(name, OLDEST if is_same_everywhere(name) else await self.version())
        attempt = 1
        while True:
            try:
                return await self._once(asked, variables)
            except (SaleorUnreachable, SaleorRateLimited) as error:
                pause = self._pause(asked, error, attempt)
                if pause is None:
                    raise
                await self._sleep(pause)
            attempt += 1

    async def _once(self, asked: Operation, variables: Mapping[str, object]) -> dict[str, Any]:
        try:
            answer = await self._transport.post(self._request(asked, variables))
        except NoAnswer as error:
            raise self._no_answer(asked, error) from error
        return self._read(asked, answer).data

    async def _ask_version(self) -> Version:
        found = str((await self._execute("ShopVersion", {}))["shop"]["version"])
        return await sync_to_async(self._found_version)(found)

    async def _explained(self, error: SaleorPermissionDenied) -> SaleorError:
        try:
            app = (await self._execute("AppRead", {}))["app"]
        except SaleorTokenInvalid:
            return SaleorTokenInvalid(error.operation, maybe_executed=error.maybe_executed)
        except SaleorError:
            return error
        return narrowed(error, app)


async def async_client_for(slug: str, **options: Any) -> AsyncSaleorClient:
    """Return an asynchronous client of an installation, with its token; see `client_for`."""
    installation = await sync_to_async(installations.active_installation)(slug=slug)
    return AsyncSaleorClient(
        installation.api_url,
        decrypt(installation.token_encrypted),
        installation_slug=installation.slug,
        version=installation.version,
        on_version=lambda found: installations.keep_version(slug=slug, version=found),
        **options,
    )
