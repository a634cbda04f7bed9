"""Stores: who sells, and the adapters to the systems that hold the orders."""
