"""Demonstrations and records to and from the Hugging Face Hub. Nothing here is done unless `bench hub` is called."""
