"""Is this machine fit? Each check says what it found; a failure says the command that mends it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import psutil

from benchmark.system.finding import Finding
from envs.local_code import ROOMS

WANTED = {"metaworld": "3.1.1", "mujoco": "3.3.0", "fpsample": "0.3.3"}
INSTALL = "python -m pip install -e . -c constraints.txt"


def examine(out: Path) -> list[Finding]:
    """Every check, in the order in which they build on each other. None of them raises."""
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("checkout", check_checkout),
        ("versions", check_versions),
        ("torch", check_torch),
        ("GPU", check_gpu),
        ("GL", check_golden_frame),
        ("memory", check_memory),
        ("disk", lambda: check_disk(out)),
    ]
    findings = []
    for name, check in checks:
        try:
            findings.append(check())
        except Exception as error:
            findings.append(Finding(name, "fail", f"{type(error).__name__}: {error}", INSTALL))
    return findings


def check_checkout() -> Finding:
    """Our packages are plain top-level names: an installed stranger could shadow one, and so could a folder here."""
    homes = {room: _home(room) for room in ROOMS}
    ours = homes["benchmark"]
    intruders = {room: home for room, home in homes.items() if home != ours}
    if intruders:
        named = ", ".join(f"{room} from {home}" for room, home in intruders.items())
        return Finding(
            "checkout",
            "fail",
            f"benchmark is from {ours}, but {named}",
            f"cd {ours} && {INSTALL}   # and uninstall what brought {next(iter(intruders))}",
        )
    here = [room for room in ROOMS if (Path(room) / "__init__.py").is_file() and Path().resolve() != ours]
    if here:
        found = f"all packages from {ours}, but a notebook or a test in {Path().resolve()} would take its {here[0]}"
        return Finding("checkout", "warn", found, "import repbench   # there, before anything else of ours")
    return Finding("checkout", "ok", f"all {len(ROOMS)} packages from {ours}")


def _home(room: str) -> Path:
    """The folder that a package lies in. It is looked up, not imported: `repbench` would refuse what is to be named."""
    loaded = sys.modules.get(room)
    spec = importlib.util.find_spec(room) if loaded is None else None
    file = getattr(loaded, "__file__", None) if loaded is not None else getattr(spec, "origin", None)
    return Path(file).resolve().parents[1] if file else Path(f"no package {room}")


def check_versions() -> Finding:
    python = sys.version_info
    if not (3, 11) <= python[:2] < (3, 13):
        return Finding(
            "versions", "fail", f"Python {python[0]}.{python[1]}; 3.11 or 3.12 is needed", "python3.11 -m venv .venv"
        )
    wrong = []
    for name, wanted in WANTED.items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = "absent"
        if found != wanted:
            wrong.append(f"{name} {found} (wanted {wanted})")
    if wrong:
        return Finding("versions", "fail", ", ".join(wrong), INSTALL)
    listed = ", ".join(f"{name} {version}" for name, version in WANTED.items())
    return Finding("versions", "ok", f"Python {python[0]}.{python[1]}.{python[2]}, {listed}")


def check_torch() -> Finding:
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return Finding("torch", "ok", f"torch {torch.__version__}, CUDA: {names}")
    if shutil.which("nvidia-smi"):
        mend = "nvidia-smi && python -m pip install --force-reinstall torch   # a build for your driver"
        return Finding("torch", "warn", f"torch {torch.__version__} sees no CUDA, but nvidia-smi is installed", mend)
    return Finding(
        "torch", "ok", f"torch {torch.__version__} on the CPU, {torch.get_num_threads()} threads (no GPU here)"
    )


def check_gpu() -> Finding:
    from benchmark.system import doctor_gpu

    return doctor_gpu.check_gpu()


def check_golden_frame() -> Finding:
    """Render one frame in a worker and compare its mean colours with the golden frame's."""
    import numpy as np

    from envs.pool import EnvConfig, Pool
    from envs.render import INSTALL as GL_INSTALL
    from envs.render import GLMissing, choose_backend
    from envs.spec import ObservationRequest

    try:
        choose_backend()
    except GLMissing as error:
        return Finding("GL", "fail", str(error), GL_INSTALL)
    request = ObservationRequest(fields=("rgb", "proprio"), cameras=("corner",), height=64, width=64)
    try:
        with Pool(EnvConfig("metaworld", "reach", request), 1, timeout=60) as pool:
            list(pool.map("reset", [(0,)], retries=0))
            frame = pool.workers[0].observation["rgb"][0].copy()
            pool.workers[0].ask("fingerprint")
            driver = pool.workers[0].answer()
    except Exception as error:
        return Finding("GL", "fail", f"rendering failed: {error}", f"{GL_INSTALL}   # or MUJOCO_GL=osmesa")
    quadrants = [frame[r : r + 32, c : c + 32].mean() for r in (0, 32) for c in (0, 32)]
    if np.abs(np.array(quadrants) - GOLDEN).max() > 6:
        return Finding(
            "GL",
            "fail",
            f"the golden frame looks different ({np.round(quadrants, 1)}, not {GOLDEN}) with {driver}",
            "MUJOCO_GL=osmesa bench doctor",
        )
    if "llvmpipe" in driver and shutil.which("nvidia-smi"):
        return Finding(
            "GL",
            "warn",
            f"{driver}: software rendering beside an NVIDIA GPU, 40-400 times slower",
            "sudo apt-get install -y libnvidia-gl   # or see /usr/share/glvnd/egl_vendor.d",
        )
    return Finding("GL", "ok", f"golden frame as it should be; {driver}")


GOLDEN = (125.0, 100.4, 97.7, 92.1)
"""Mean brightness (0..255) of the quadrants of reach, seed 0, corner, 64 x 64: top left, top right, bottom left,
bottom right. Drivers differ by about 1."""


def check_memory() -> Finding:
    free, cores = psutil.virtual_memory().available / 2**30, os.cpu_count() or 1
    need = 3 + 0.5 * -(-cores // 4) * 4
    text = f"{free:.1f} GiB free, {cores} cores; a run wants about {need:.0f} GiB"
    if free < need:
        return Finding("memory", "warn", text, "bench run ... runtime.workers=2   # fewer simulators")
    return Finding("memory", "ok", text)


def check_disk(out: Path) -> Finding:
    place = next(parent for parent in [out.resolve(), *out.resolve().parents] if parent.exists())
    if not os.access(place, os.W_OK):
        return Finding("disk", "fail", f"{place} cannot be written", "bench run ... --out SOMEWHERE_ELSE")
    free = shutil.disk_usage(place).free / 2**30
    text = f"{free:.0f} GiB free at {place}; points of one task take 0.1 GiB, RGB 0.9 GiB"
    return Finding("disk", "ok" if free > 5 else "warn", text, "" if free > 5 else "bench run ... --data BIGGER_DISK")


def render_findings(findings: list[Finding]) -> str:
    lines = []
    for finding in findings:
        lines.append(f"{finding.verdict.upper():<5} {finding.check:<9} {finding.found}")
        if finding.mend and finding.verdict != "ok":
            lines.append(f"      fix it:   {finding.mend}")
    failed = sum(f.verdict == "fail" for f in findings)
    lines.append("everything is in order" if not failed else f"{failed} of {len(findings)} checks failed")
    return "\n".join(lines)
