"""The store's own books follow ours: what became of each refund is told to the system that holds the orders, until it confirms."""
