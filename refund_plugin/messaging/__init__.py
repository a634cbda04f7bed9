"""Templates to mail: what customers are told, and the record that they were."""
