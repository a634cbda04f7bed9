"""Another app of the same Saleor, which keeps what it is sent, signed by Saleor, and could send it to anybody."""

from __future__ import annotations

from dataclasses import dataclass

from tests.saleor.standin.control import Standin
from tests.saleor.standin.webhooks import Answer, Delivery
from tests.saleor.standin.world import App, Webhook

ADDRESS = "http://testserver/somebody-else/"


@dataclass
class Eavesdropper:
    """An app whose subscription asks for what an app of interest would be sent. Its permissions are its own."""

    standin: Standin
    app: App

    @classmethod
    def installed(cls, standin: Standin, *, query: str, events: list[str], permissions: list[str]) -> Eavesdropper:
        """Install it with one webhook."""
        app = standin.add_app(permissions=permissions, identifier="evil.app")
        hook = Webhook(
            id=standin.world.next_id("Webhook"), app=app, name="collect", target_url=ADDRESS, query=query, events=events, custom_headers={}
        )
        app.webhooks.append(hook)
        return cls(standin, app)

    def overheard(self) -> Delivery:
        """The newest text that was made for it; whatever else was to be sent to anybody stays unsent."""
        self.standin.post.queue.clear()
        return next(delivery for delivery in reversed(self.standin.post.sent) if delivery.webhook.app is self.app)

    def replay(self, url: str, **headers: str) -> Answer:
        """Send it to somebody else, with Saleor's own headers and signature."""
        delivery = self.overheard()
        return self.standin.post.transport.post(url, delivery.body, {**self.standin.post.headers(delivery, delivery.body), **headers})
