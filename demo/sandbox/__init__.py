"""A payment provider to play with: speaks Stripe's API over real HTTP and is strict where Stripe is.

It knows payments and refunds with their events, idempotency keys and rate limits, disputes, Checkout and Billing, and signed
webhooks. It moves no money, keeps its state in one SQLite file, and can be told to misbehave: `admin.py` says how.
Run it with `python -m demo.sandbox --help`; start it from a test with `process.SandboxServer`.

What it leaves out, on purpose: Connect transfers, coupons, prorations, invoices that are not paid at once, several partial
captures, and evidence for disputes. A parameter it does not know is refused, as Stripe would refuse one that it does not know.
"""
