"""What is trained: representation, fusion and head."""
