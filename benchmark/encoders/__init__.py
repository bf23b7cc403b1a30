"""Weight files of encoders, and certificates of what each encoder computes."""
