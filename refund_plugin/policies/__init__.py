"""Policies and the frozen versions that decide purchases."""
