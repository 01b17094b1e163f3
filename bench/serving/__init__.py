"""`embedrt serve` under load: HTTP stacks by their cost, and the server beside offline encoding. ``make bench-serving``."""
