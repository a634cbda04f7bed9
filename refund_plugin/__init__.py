"""Refunds of digital products: decides, moves and records refunds, and serves the people around them."""

__version__ = "0.1.0"
