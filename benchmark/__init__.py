"""The experiment: what is run, what is learned from, what is trained, how, and what comes out."""

import os

from benchmark.system.allocator import keep_freed_memory

# How torch uses this machine, to be said before torch is loaded; what the user has set stays. No number depends on it,
# and docs/speed.md has what each is worth.
# - A step makes and drops tensors of 70 MB, and half of it was the kernel's, mapping them.
# - A thread that waits for another spins for some microseconds, then sleeps: two processes on the same cores otherwise
#   spin through each other's turns, and were at times ten times slower.
keep_freed_memory()
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
