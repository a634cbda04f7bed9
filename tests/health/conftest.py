from tests.messaging.conftest import shop

__all__ = ["shop"]
