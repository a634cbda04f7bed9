"""Money between Saleor and us: who pays, who tells, and what happens when neither hears the other."""
