"""Networks that several methods share, in our own code, with the field's parameter names where checkpoints exist."""
