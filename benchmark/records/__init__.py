"""What a finished cell leaves, what is checked when it is read, and how it is audited."""
