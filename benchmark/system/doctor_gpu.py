"""Does the GPU compute? A list of devices says nothing of a driver or a build that does not fit: a kernel does."""

from __future__ import annotations

import torch

from benchmark.system.finding import Finding
from benchmark.system.gpu import gpu_facts, use_repeatable_kernels

CLOSE = 1e-4
"""Relative to the largest value: float32 sums in another order. TF32 is at 1e-3 and would be found."""


def check_gpu() -> Finding:
    """A matrix product and a convolution with its gradient on every GPU, held against the CPU's; farthest points."""
    if not torch.cuda.is_available():
        return Finding("GPU", "ok", "none: everything is computed on the CPU")
    use_repeatable_kernels()
    found, odd = [], []
    for number in range(torch.cuda.device_count()):
        device = torch.device("cuda", number)
        name = f"cuda:{number} {torch.cuda.get_device_name(device)}"
        try:
            gap = _gap(device)
            picks = _picks(device)
        except Exception as error:  # torch's own, the driver's, or a library that cannot be loaded
            said = " ".join(str(error).split())[:200]
            mend = "nvidia-smi && python -m pip install --force-reinstall torch   # a build for driver and card"
            return Finding("GPU", "fail", f"{name} runs no kernel: {type(error).__name__}: {said}", mend)
        found.append(f"{name}: within {gap:.0e} of the CPU{picks}")
        if not gap < CLOSE:
            odd.append(name)
    facts = gpu_facts(torch.device("cuda", 0))["gpu"]
    text = f"driver {facts['driver']}, CUDA {facts['cuda']}, cuDNN {facts['cudnn']}; {'; '.join(found)}"
    if odd:
        return Finding("GPU", "fail", f"{odd[0]} computes something else; {text}", "bench run ... --device cpu")
    return Finding("GPU", "ok", text)


def _gap(device: torch.device) -> float:
    """The largest difference of results of the same float32 sums here and on the CPU, relative to the largest value."""
    draw = torch.Generator().manual_seed(0)
    picture, kernel = (torch.randn(*shape, generator=draw) for shape in ((2, 8, 32, 32), (16, 8, 3, 3)))
    weight = torch.randn(16, 256, generator=draw)

    def computed(on: torch.device) -> list[torch.Tensor]:
        own = kernel.to(on).requires_grad_()
        maps = torch.nn.functional.conv2d(picture.to(on), own)
        product = maps.flatten(2).transpose(1, 2) @ weight.to(on)
        (gradient,) = torch.autograd.grad(product.square().mean(), own)
        return [product.detach().cpu(), gradient.cpu()]

    pairs = zip(computed(device), computed(torch.device("cpu")), strict=True)
    return max(float((ours - theirs).abs().max() / theirs.abs().max()) for ours, theirs in pairs)


def _picks(device: torch.device) -> str:
    from methods.farthest_points_kernel import kernel_for
    from methods.pointops import farthest_points

    return "" if kernel_for(device, farthest_points) is not None else " (farthest points by the slower loop)"
