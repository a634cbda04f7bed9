"""Doors that gateways call."""
