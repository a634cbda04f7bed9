"""The private servers that tests and measurements use."""

from __future__ import annotations

import signal
import socket

import psycopg
import pytest
import redis

from tests.demo_process import is_alive
from tests.services import PrivatePostgres, PrivateRedis, private_services


def test_private_servers_answer_and_are_gone_afterwards() -> None:
    with PrivatePostgres() as postgres, PrivateRedis() as cache:
        with psycopg.connect(postgres.url) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("refunds",)
        assert redis.Redis.from_url(cache.url).ping()
        assert postgres.process is not None
        assert cache.process is not None
        ids, folders = (postgres.process.pid, cache.process.pid), (postgres.folder, cache.folder)
    assert not any(is_alive(pid) for pid in ids)
    assert not any(folder.exists() for folder in folders)


def test_a_halted_server_resumes_on_its_port_with_what_was_committed() -> None:
    with PrivatePostgres() as postgres:
        with psycopg.connect(postgres.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
        port = postgres.port
        postgres.halt(signal.SIGTERM)
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
        postgres.resume()
        assert postgres.port == port
        with psycopg.connect(postgres.url) as connection:
            assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def test_an_error_inside_the_block_still_ends_both_servers() -> None:
    with pytest.raises(RuntimeError, match="inside"), private_services() as environment:
        ports = [int(url.rsplit(":", 1)[1].split("/")[0]) for url in environment.values()]
        raise RuntimeError("inside")
    for port in ports:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
