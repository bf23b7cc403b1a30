"""The kernel of `methods.farthest_points_kernel`. Only that imports it, where Triton is installed."""

import triton
import triton.language as tl


@triton.jit
def farthest(points, start, chosen, size, count, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """A program a cloud. points (B, size, 3) float32, start (B,) int64, to chosen (B, count) int64; BLOCK: a power of
    two from `size` on. The fused multiply-adds are those of `pointops.farthest_points`, in its order.
    """
    cloud = tl.program_id(0).to(tl.int64)
    row = tl.arange(0, BLOCK)
    there = row < size
    points += cloud * size * 3
    chosen += cloud * count
    x = tl.load(points + 3 * row, mask=there, other=0.0)
    y = tl.load(points + 3 * row + 1, mask=there, other=0.0)
    z = tl.load(points + 3 * row + 2, mask=there, other=0.0)
    distance = tl.where(there, float("inf"), float("-inf"))
    last = tl.load(start + cloud).to(tl.int32)
    for pick in range(count):
        tl.store(chosen + pick, last)
        across = x - tl.load(points + 3 * last)
        new = across * across
        across = y - tl.load(points + 3 * last + 1)
        new = tl.fma(across, across, new)
        across = z - tl.load(points + 3 * last + 2)
        new = tl.fma(across, across, new)
        distance = tl.where(there, tl.minimum(distance, new), float("-inf"))
        last = tl.argmax(distance, axis=0, tie_break_left=True).to(tl.int32)
