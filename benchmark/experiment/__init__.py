"""A cell from nothing to its record, and what its policy can be asked afterwards."""
