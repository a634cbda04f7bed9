"""The demo: a shop, a sandbox payment server, and the supervisor that runs both."""
