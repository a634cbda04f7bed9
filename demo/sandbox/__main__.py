"""Run a sandbox: `python -m demo.sandbox --port 8100 --state .demo/sandbox --webhook-url … --webhook-secret whsec_…`.

Environment (what stands in a command line can be read by everybody on the machine):
    SANDBOX_API_KEY, SANDBOX_WEBHOOK_SECRET: what the two options are without being given.
"""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path
from threading import Thread
from types import FrameType

from demo.sandbox.application import Application
from demo.sandbox.server import Server
from demo.sandbox.webhooks import Endpoint


def main() -> None:
    """Serve until TERM or Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.sandbox", description="A Stripe-compatible server to play with. It moves no money."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: only this machine)")
    parser.add_argument("--port", type=int, default=8100, help="port; 0 takes a free one and prints it")
    parser.add_argument("--state", default=":memory:", help="folder that keeps the state; without it everything is forgotten at the end")
    parser.add_argument("--api-key", default=os.environ.get("SANDBOX_API_KEY") or "sk_test_sandbox", help="the only key that is accepted")
    parser.add_argument("--webhook-url", default="", help="where events are sent")
    parser.add_argument("--webhook-secret", default=os.environ.get("SANDBOX_WEBHOOK_SECRET", ""), help="signs the events (whsec_…)")
    parser.add_argument(
        "--settle-after-ms", type=int, default=5000, help="when pending refunds settle; a negative number means by hand only"
    )
    options = parser.parse_args()
    if options.webhook_url and not options.webhook_secret:
        parser.error("--webhook-url needs --webhook-secret")
    application = Application(
        api_key=options.api_key,
        folder=None if options.state == ":memory:" else Path(options.state),
        endpoint=Endpoint(options.webhook_url, options.webhook_secret),
        settle_after_ms=options.settle_after_ms if options.settle_after_ms >= 0 else None,
    )
    server = Server((options.host, options.port), application)

    def end(number: int, frame: FrameType | None) -> None:
        Thread(target=server.shutdown).start()  # waits for the loop, which runs in this very thread

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    application.start()
    print(f"sandbox: http://{options.host}:{server.port}/", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    application.stop()


if __name__ == "__main__":
    main()
