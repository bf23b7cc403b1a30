"""Weight files: whether they are the right ones, and how their tensors reach a network.

Only tensors are ever read (safetensors, torch with `weights_only`, or TorchScript archives through
`methods.torchscript`). `methods.weight_places` says where files are looked for.
"""

from __future__ import annotations

import functools
import hashlib
import re
from argparse import Namespace
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from envs.files import why_no_file
from methods.card import MethodCard, WeightFile
from methods.errors import BadWeights, WeightsMissing
from methods.policy_card import PolicyCard
from methods.torchscript import is_torchscript, read_torchscript
from methods.weight_places import locate

NONE, PUBLISHED, RANDOM = "none", "published", "random"


@dataclass(frozen=True)
class Weights:
    """Which weights a cell uses. label: `none`, `published`, `random`, or the stem of the user's file.

    files: what is loaded, in the card's order; empty for `none` and `random`. known: names and sha256 of files that
    are not here, where only features made with them are.
    """

    label: str
    files: tuple[Path, ...] = ()
    known: tuple[tuple[str, str], ...] = ()

    @property
    def untrained(self) -> bool:
        return self.label == RANDOM

    def hashes(self) -> dict[str, str]:
        return {path.name: sha256(path) for path in self.files} or dict(self.known)

    def identity(self) -> list[str]:
        """What a number depends on: the content of the files."""
        return [RANDOM] if self.untrained else list(self.hashes().values())


def choose_weights(card: MethodCard, choice: str | None, folder: Path) -> Weights:
    """`choice`: None for the published ones, `random`, or a path. Raises `WeightsMissing` or `BadWeights`."""
    if not card.weights:
        takes = isinstance(card, PolicyCard)  # one that was trained elsewhere; over a representation it may refuse
        if choice not in (None, RANDOM) and not takes:
            raise BadWeights(f"{card.name} is trained from scratch and loads no weights; leave --weights out")
        if choice in (None, RANDOM):
            return Weights(NONE)
    if choice == RANDOM:
        return Weights(RANDOM)
    if choice is not None:
        path = Path(choice)
        if why := why_no_file(path):
            why = "no such file" if why == "is not there" else f"it {why}"
            raise WeightsMissing(f"--weights {choice}: {why}; give a file of weights, or random")
        return Weights(path.stem, (path,))
    paths = tuple(locate(card.name, file, folder) for file in card.weights)
    absent = [str(path) for path in paths if why_no_file(path)]
    if absent:
        if any(file.url is None for file in card.weights):
            raise WeightsMissing(
                f"{card.name} needs weights and nobody has published any. Give your own with --weights FILE, or run "
                "it untrained with --weights random (marked so in every table)"
            )
        raise WeightsMissing(
            f"{card.name} needs {', '.join(absent)}. Fetch with: bench weights {card.name} --fetch\n"
            "  (no internet here: bring the files and add runtime.weights_dir=FOLDER), "
            "or run it untrained with --weights random"
        )
    for path, file in zip(paths, card.weights, strict=True):
        check(path, file)
    return Weights(PUBLISHED, paths)


def check(path: Path, file: WeightFile) -> None:
    """Raises `BadWeights` if size or sha256 is not the published one."""
    if file.size is not None and path.stat().st_size != file.size:
        raise BadWeights(
            f"{path} has {path.stat().st_size:,} bytes, not {file.size:,}: a broken download? Delete it and fetch again"
        )
    if file.sha256 is not None and sha256(path) != file.sha256:
        raise BadWeights(f"{path} has sha256 {sha256(path)}, not the published {file.sha256}; delete it, fetch again")


def sha256(path: Path) -> str:
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _sha256(path: Path, _size: int, _changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_tensors(path: Path, prefixes: Iterable[str] = ()) -> dict[str, Tensor]:
    """Every tensor of a checkpoint by its dotted name, nested dictionaries flattened. Raises `BadWeights`.

    prefixes: of a safetensors file only names that start with one of them are read (SPA's 3 GB hold 340 MB of
    encoder).
    """
    if why := why_no_file(path):
        raise BadWeights(f"{path} {why}")
    try:
        if path.suffix == ".safetensors":
            from safetensors import safe_open

            with safe_open(path, "pt") as archive:
                wanted = tuple(prefixes) or ("",)
                return {name: archive.get_tensor(name) for name in archive.keys() if name.startswith(wanted)}  # noqa: SIM118
        if is_torchscript(path):
            return read_torchscript(path)
        # some published files carry their training arguments in an argparse.Namespace, which is inert
        with torch.serialization.safe_globals([Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except BadWeights as error:
        raise BadWeights(f"{path}: {error}") from error
    except Exception as error:
        asks = re.search(r"\bGLOBAL\b", str(error)) or path.open("rb").read(1) == b"\x80"  # a pickle by itself
        hint = "; it wants to run code, which is refused" if asks else ""
        raise BadWeights(
            f"{path} cannot be read ({type(error).__name__}){hint}: is it whole, and a checkpoint?"
        ) from error
    found: dict[str, Tensor] = {}
    _flatten(content, "", found)
    if not found:
        raise BadWeights(f"{path} holds no tensors")
    return found


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _flatten(value: Any, path: str, found: dict[str, Tensor]) -> None:
    if isinstance(value, Tensor):
        found[path] = value.detach()
    elif isinstance(value, Mapping):
        for name, item in value.items():
            _flatten(item, f"{path}.{name}" if path else str(name), found)


def load_strictly(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    source: str,
    prefixes: Iterable[str] = (),
    ignore: Iterable[str] = (),
) -> None:
    """Fill `module` from a checkpoint, every key of both accounted for. Raises `BadWeights` naming the rest.

    prefixes: wrappers that a key may stand under; the longest that matches is stripped. ignore: a key with a dotted
    part that starts with one of these belongs to something that is not used here.
    """
    ordered = sorted(prefixes, key=len, reverse=True)
    unused = tuple(ignore)
    stripped: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if unused and any(part.startswith(unused) for part in name.split(".")):
            continue
        short = next((name.removeprefix(p) for p in ordered if name.startswith(p)), name)
        if short in stripped:
            raise BadWeights(f"{source} has {short} twice, under different wrappers")
        stripped[short] = tensor
    expected = module.state_dict()
    missing = sorted(set(expected) - set(stripped))
    unknown = sorted(set(stripped) - set(expected))
    wrong = [
        f"{name} is {tuple(stripped[name].shape)}, not {tuple(expected[name].shape)}"
        for name in sorted(set(expected) & set(stripped))
        if expected[name].shape != stripped[name].shape
    ]
    if missing or unknown or wrong:
        parts = [
            f"{len(missing)} missing ({_some(missing)})" if missing else "",
            f"{len(unknown)} not of this network ({_some(unknown)})" if unknown else "",
            f"{len(wrong)} of another shape ({_some(wrong)})" if wrong else "",
        ]
        raise BadWeights(f"{source} does not fit: {'; '.join(filter(None, parts))}. Is it another method's file?")
    bad = next((name for name in expected if not torch.isfinite(stripped[name]).all()), None)
    if bad is not None:
        raise BadWeights(f"{source} holds NaN or infinity in {bad}")
    module.load_state_dict({name: stripped[name].to(expected[name].dtype) for name in expected})


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
