"""Append-only domain events with one delivery row per subscriber (the outbox), and the doorbell."""
