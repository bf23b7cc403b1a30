"""A pre-training that is stopped between two of its steps, as by Ctrl-C."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from benchmark.pretrain.trainer import PretrainTrainer


@contextlib.contextmanager
def stopped_before(number: int) -> Iterator[None]:
    """The pre-training within ends by a KeyboardInterrupt when so many steps are done; that it does is asserted."""
    step = PretrainTrainer.train_step

    def stops(self: PretrainTrainer, *arguments: Any, **kw: Any) -> Any:
        if self.step == number:
            raise KeyboardInterrupt
        return step(self, *arguments, **kw)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PretrainTrainer, "train_step", stops)
        with pytest.raises(KeyboardInterrupt):
            yield
