"""The door for Saleor: the App's manifest, the handshake of its installation, Saleor's webhooks, and its dashboard."""
