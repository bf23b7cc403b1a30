"""Tables from records, the papers' own among them."""
