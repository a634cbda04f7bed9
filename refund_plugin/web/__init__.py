"""Customer pages: ask for a refund, follow it, find purchases."""
