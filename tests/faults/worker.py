"""Where worker and web processes of a fault run come from: one process that has loaded everything and forks on request.

It reads one JSON object a line on its input and answers on its output: `started <name> <pid>`, `ended <name> <status>`.
A fork takes milliseconds where a start takes seconds, so a worker can be killed hundreds of times. Each child is a session
of its own, opens its own connections, and runs the product's own `refunds_worker` command or serves the site.
"""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sys
import threading
import time
import traceback
from typing import Any

import django

LOOK_AGAIN_SECONDS = 0.005


def main() -> None:
    """Serve until the input ends; the children then go too."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.faults.settings"
    django.setup()
    # what a child would import first thing, and the addresses of the whole site
    from django.core.management import load_command_class
    from django.core.wsgi import get_wsgi_application
    from django.urls import get_resolver

    import demo.shop.celery  # noqa: F401
    from tests.faults import hooks  # noqa: F401

    load_command_class("refund_plugin", "refunds_worker")
    get_wsgi_application()
    assert get_resolver().url_patterns
    _say("ready")
    children: dict[int, str] = {}
    threading.Thread(target=_reap, args=(children,), daemon=True).start()
    for row in sys.stdin:
        order = json.loads(row)
        pid = os.fork()
        if pid == 0:
            _be(order)
        children[pid] = order["name"]
        _say(f"started {order['name']} {pid}")
    for pid in list(children):
        os.kill(pid, signal.SIGKILL)


def _say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def _reap(children: dict[int, str]) -> None:
    while True:
        try:
            pid, status = os.wait()
        except ChildProcessError:  # there is none at present
            time.sleep(LOOK_AGAIN_SECONDS)
            continue
        while pid not in children:  # it ended before its parent had noted its name
            time.sleep(LOOK_AGAIN_SECONDS)
        _say(f"ended {children.pop(pid)} {os.waitstatus_to_exitcode(status)}")


def _be(order: dict[str, Any]) -> None:
    """Become the child that was asked for; never returns."""
    status = 1
    try:
        os.setsid()
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        random.seed(order["name"])
        _configure(order)
        _run(order)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _configure(order: dict[str, Any]) -> None:
    from django.conf import settings
    from django.core.signals import setting_changed
    from django.db import connections

    from tests.faults import hooks

    connections["default"].settings_dict["NAME"] = order["database"]
    settings.CELERY_BROKER_URL = order["broker"]
    settings.REFUND_PLUGIN = order["plugin"]
    setting_changed.send(sender=settings, setting="REFUND_PLUGIN", value=order["plugin"], enter=True)
    hooks.count_calls(order["calls"])
    hooks.install(**order["hooks"])


def _run(order: dict[str, Any]) -> None:
    if order["kind"] == "worker":
        from django.core.management import call_command

        call_command("refunds_worker", interval=order["interval"], once=order["interval"] is None)
        return
    from django.core.servers.basehttp import WSGIRequestHandler, WSGIServer, run
    from django.core.wsgi import get_wsgi_application

    class Server(WSGIServer):
        """Sends at once, as servers in production do: this one writes head and body apart, and would wait 40 ms in between."""

        def get_request(self) -> Any:
            connection, address = super().get_request()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection, address

    WSGIRequestHandler.log_message = lambda *args: None  # type: ignore[method-assign, assignment]
    run("127.0.0.1", order["port"], get_wsgi_application(), threading=True, server_cls=Server)


if __name__ == "__main__":
    main()
