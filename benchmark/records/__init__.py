"""What a finished cell leaves, how it is read with doubt, and how it is audited."""
