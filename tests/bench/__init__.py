"""Measurements with the machine named: `make bench`."""
