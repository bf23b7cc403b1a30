"""What can be told to an experiment, as typed data with bounds, and how it is read."""
