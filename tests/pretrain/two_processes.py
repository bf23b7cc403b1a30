"""One of the processes of `test_two_processes_have_one_processs_gradient`."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from benchmark.pretrain.batches import Loader
from benchmark.pretrain.parallel import Group
from tests.pretrain.test_training import config, gradients, still, taught_frames, trainer_of


def main(folder: Path) -> None:
    group = Group.join(torch.device("cpu"))
    frames, taught, _ = taught_frames(folder)
    loader = Loader(frames, taught, 8, 0, group.rank, group.world)
    for accumulate in (1, 2):
        trainer = still(trainer_of(config("mae=false", "local=false", f"accumulate={accumulate}"), loader, group))
        trainer.train_step(next(loader.start(0, 1)))
        torch.save(gradients(trainer), folder / f"gradient-{accumulate}-{group.rank}.pt")
    group.leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
