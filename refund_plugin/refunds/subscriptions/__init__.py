"""A refund of what is left of a subscription also ends it, and the gateway's invoices learn what was given back."""
