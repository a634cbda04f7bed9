"""A site whose `Page` is swapped: it derives its own policy page from the mixin."""
