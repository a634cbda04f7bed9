"""Typed client of Saleor's API, and what an installation of our App in a Saleor is known by."""
