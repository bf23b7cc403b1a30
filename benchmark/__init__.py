"""The experiment: what is run, what is learned from, what is trained, how, and what comes out."""

import os

# Before torch allocates anything: large tensors in large pages (madvise). Layers over neighbourhoods make and drop
# tensors of 70 MB, and a quarter of a PointNeXt step went into the kernel's faults of 4 kB. No number depends on it.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
