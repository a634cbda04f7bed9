"""A payment provider to play with: speaks Stripe's API over real HTTP and is strict where Stripe is.

It knows payment intents, charges, refunds and events, idempotency keys, refunds that settle or fail later, and signed
webhooks. It moves no money, keeps its state in one SQLite file, and can be told to misbehave (`faults.py`).
Run it with `python -m demo.sandbox --help`; start it from a test with `process.SandboxServer`.

What it leaves out, on purpose: customers, disputes, Connect transfers, uncaptured payments, and bank debits that take days
to arrive. A parameter it does not know is refused, as Stripe would refuse one that it does not know.
"""
