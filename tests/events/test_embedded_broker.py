"""The embedded broker: what a worker can see is always whole."""

from __future__ import annotations

import json
import threading
from types import SimpleNamespace

import pytest
from celery import Celery
from kombu import Connection

from refund_plugin.events import embedded_broker
from tests.documented import block


@pytest.fixture
def broker(tmp_path):
    """Connects to a broker of its own; queues are named after the folder, because kombu remembers them per process."""
    options = {"data_folder_in": tmp_path / "messages", "data_folder_out": tmp_path / "messages", "control_folder": tmp_path / "control"}
    (tmp_path / "messages").mkdir()

    def connect() -> Connection:
        return Connection("filesystem://", transport=embedded_broker.Transport, transport_options={**options, "polling_interval": 0.01})

    return connect


def test_a_message_arrives_as_it_was_sent(broker, tmp_path):
    with broker() as connection:
        queue = connection.SimpleQueue(tmp_path.name)
        queue.put({"ring": 1})
        message = queue.get(timeout=5)
        assert message.payload == {"ring": 1}
        message.ack()
        queue.close()


def test_the_documented_settings_carry_a_message(tmp_path):
    site: dict[str, object] = {"BASE_DIR": tmp_path}
    exec(block("broker.py"), site)
    app = Celery(set_as_current=False)
    app.config_from_object(SimpleNamespace(**{name: value for name, value in site.items() if name.isupper()}), namespace="CELERY")
    with app.connection_for_write() as connection:
        assert isinstance(connection.transport, embedded_broker.Transport)
        queue = connection.SimpleQueue(f"documented-{tmp_path.name}")
        queue.put({"ring": 1})
        queue.close()
    assert len(list((tmp_path / "broker" / "messages").glob("*.msg"))) == 1


def test_a_message_has_its_name_only_when_it_is_whole(broker, tmp_path, monkeypatch):
    seen: list[list[str]] = []
    replace = embedded_broker.os.replace

    def watched(source, target):
        seen.append([path.name for path in (tmp_path / "messages").glob("*.msg")])
        if str(target).endswith(".msg"):
            json.loads(source.read_text())  # whole before it is visible
        replace(source, target)

    monkeypatch.setattr(embedded_broker.os, "replace", watched)
    with broker() as connection:
        queue = connection.SimpleQueue(tmp_path.name)
        queue.put({"ring": 1})
        queue.close()
    assert seen and not any(seen)
    assert len(list((tmp_path / "messages").glob("*.msg"))) == 1


def test_writers_and_a_reader_at_the_same_time_lose_and_break_nothing(broker, tmp_path):
    def write(first: int) -> None:
        with broker() as connection:
            queue = connection.SimpleQueue(tmp_path.name)
            for number in range(first, first + 100):
                queue.put(number)
            queue.close()

    writers = [threading.Thread(target=write, args=(first,)) for first in (0, 100, 200)]
    heard = set()
    with broker() as connection:
        # declared before the others start: kombu notes a binding in the process before it is in the table, so that a second
        # thread's very first message could find no queue
        queue = connection.SimpleQueue(tmp_path.name)
        for writer in writers:
            writer.start()
        while len(heard) < 300:
            message = queue.get(timeout=20)
            heard.add(message.payload)
            message.ack()
        queue.close()
    for writer in writers:
        writer.join()
    assert heard == set(range(300))
