"""A pretended CUDA device for a build of torch without CUDA: the project's code runs as on a GPU, with a CPU's numbers.

    with pretend_cuda() as seen:
        network.to("cuda")(torch.zeros(1, 3))     # raises here, as CUDA would: the input is on the CPU

Every tensor is a CPU tensor; its storage remembers on which device it would be. What CUDA refuses is refused, with the
traceback of the line that asked for it: operands on different devices, `numpy()` of a tensor on the GPU, generators of
the other device, a device that is not there, and what is read back before a copy has ended.

Not seen: kernels and what they round, TF32, nondeterminism, memory and its limits, streams, NCCL, other processes. In
other threads the operands are not checked (torch's dispatch modes are of one thread); `to`, `numpy` and the like are.
docs/gpu.md says what that leaves open.
"""

from tests.pretend_cuda.device import device_of
from tests.pretend_cuda.patches import pretend_cuda

__all__ = ["device_of", "pretend_cuda"]
