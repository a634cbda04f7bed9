"""Reconciliation: what the gateway lists, compared with what we say, on a schedule and on demand."""
