"""Celery's filesystem broker, made safe for several processes: for sites that run neither Redis nor RabbitMQ.

Kombu's own transport writes a message in place, so that a worker polling at that moment reads half of it and dies
(https://github.com/celery/kombu/issues/1551). Here a message appears under its name only when it is whole.

Use it with `CELERY_BROKER_URL = "filesystem://"` and
`CELERY_BROKER_TRANSPORT = "refund_plugin.events.embedded_broker:Transport"`.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from time import monotonic
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """Writes messages and the table of queues atomically."""

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        name = f"{round(monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        _write_whole(Path(self.data_folder_out) / name, payload)

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        self.control_folder.mkdir(exist_ok=True)
        bound = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        table = self.get_table(exchange)
        if bound not in table:
            _write_whole(self._exchange_file(exchange), [bound, *table])


class Transport(filesystem.Transport):
    """Kombu's filesystem transport with the channel above."""

    Channel = Channel


def _write_whole(path: Path, content: object) -> None:
    # a name that no reader looks for, in the same folder, so that the replacement is one step
    draft = path.with_name(f"{path.name}.{uuid.uuid4().hex}.draft")
    try:
        draft.write_text(dumps(content))
        os.replace(draft, path)
    except OSError as error:
        raise ChannelError(f"Cannot write {path}") from error
