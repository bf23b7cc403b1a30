"""One of the processes of `in_several.assert_processes_have`, of CLAR, CLAMP or the toy objective."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from benchmark.pretrain.processes import Group


def main(folder: Path) -> None:
    from tests.pretrain.test_training import config, gradients, loader_of, still, taught_frames, trainer_of

    group = Group.join(torch.device("cpu"))
    frames, taught, _ = taught_frames(folder)
    loader = loader_of(frames, taught, rank=group.rank, world=group.world)
    for accumulate in (1, 2):
        trainer = still(trainer_of(config("mae=false", "local=false", f"accumulate={accumulate}"), loader, group))
        trainer.train_step(next(loader.start(0, 1)))
        torch.save(gradients(trainer), folder / f"gradient-{accumulate}-{group.rank}.pt")
    group.leave()


def toy(folder: Path) -> None:
    from tests.pretrain import toy_objective
    from tests.pretrain.test_objective import build

    toy_objective.register(pytest.MonkeyPatch())
    group = Group.join(torch.device("cpu"))
    for accumulate in (1, 2):
        trainer, loader = build(f"accumulate={accumulate}", group=group)
        trainer.train_step(next(loader.start(0, 1)))
        torch.save(toy_objective.gradient(trainer.model), folder / f"gradient-{accumulate}-{group.rank}.pt")  # type: ignore[arg-type]
    group.leave()


def clamp(folder: Path) -> None:
    from tests.pretrain.test_clamp import build, gradient, tiny

    tiny(pytest.MonkeyPatch())
    group = Group.join(torch.device("cpu"))
    for accumulate in (1, 2):
        trainer, loader = build(f"accumulate={accumulate}", group=group)
        trainer.train_step(next(loader.start(0, 1)))
        torch.save(gradient(trainer), folder / f"gradient-{accumulate}-{group.rank}.pt")
    group.leave()


if __name__ == "__main__":
    chosen = sys.argv[2] if len(sys.argv) > 2 else "clar"
    {"clar": main, "toy": toy, "clamp": clamp}[chosen](Path(sys.argv[1]))
