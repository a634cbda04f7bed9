"""The ledger: double entry, append-only; balances are derived from it and compared with what the rows say."""
