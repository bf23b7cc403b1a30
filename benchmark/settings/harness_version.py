"""The version of what this project computes around a method; part of every record's identity."""

HARNESS = 1
"""Raised by hand with every change to heads, losses, optimisers, the order of samples or rollouts that makes numbers
different. `benchmark.training.harness` has the certificate that says when; moving code around does not raise it."""
