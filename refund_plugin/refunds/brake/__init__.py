"""The brake: how much money the policy may move without a person, and who stopped it until when."""
