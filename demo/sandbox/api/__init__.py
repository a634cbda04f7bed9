"""The endpoints of the API: each reads its parameters, calls the bank or the store, and returns a document."""
