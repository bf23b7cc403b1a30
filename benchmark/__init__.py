"""The experiment: what is run, what is learned from, what is trained, how, and what comes out."""

import os

# How torch uses this machine, to be said before torch is loaded; what the user has set stays. No number depends on it,
# and docs/speed.md has what each is worth.
# - Large tensors in large pages: layers over neighbourhoods make and drop tensors of 70 MB, and the kernel's faults of
#   4 kB took a third of a training step.
# - A thread that waits for another spins for some microseconds, then sleeps: two processes on the same cores otherwise
#   spin through each other's turns, and were at times ten times slower.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
