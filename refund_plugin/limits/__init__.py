"""How often someone may try: counters in the database, shared by all processes."""
