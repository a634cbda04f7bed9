"""Vouchers and gift cards that a person gives a customer besides any refund: an apology, thanks, or something instead of a plain no."""
