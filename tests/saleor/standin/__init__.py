"""A strict Saleor for tests: a real HTTP server over the part of its API that we use, with its retries, signatures and traps.

What it does was read in Saleor's own code (saleor/payment/utils.py, saleor/payment/transaction_item_calculations.py,
saleor/webhook/transport/, saleor/app/installation_utils.py) and observed on a running one. Where Saleor is careless, so is this.
"""

from tests.saleor.standin.control import Standin

__all__ = ["Standin"]
