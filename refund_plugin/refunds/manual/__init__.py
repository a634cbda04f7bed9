"""The manual way: a person pays a refund that the machine cannot, and the machine never pays it again."""
