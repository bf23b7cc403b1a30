"""What `bench list` and `bench show` say to a person, in a terminal's width."""
