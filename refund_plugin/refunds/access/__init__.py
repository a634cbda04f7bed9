"""Access to what was bought follows the money, through the store, and never holds the money up."""
