"""Whether a policy's actions say what those say that its encoder, and the policy that it begins with, were trained on.

Cartesian actions of ALOHA are as many numbers as relative ones, so nothing else would notice.
"""

from __future__ import annotations

from benchmark.experiment.cell import Cell
from benchmark.records.pretraining_card import card_inside, control_of
from benchmark.system.errors import ConfigError
from envs.aloha.options import read_options


def check_actions(cell: Cell) -> None:
    """Raises `ConfigError`, naming the option."""
    if cell.settings.suite.env != "aloha":
        return
    for file in (*cell.weights.files, *cell.policy_weights.files):
        card = card_inside(file)
        then = control_of(card) if card is not None else None
        if then is not None and then != (now := read_options().control):
            raise ConfigError(
                f"{file} was pre-trained on actions of control={then}, and this policy's are of control={now}: give "
                f"env.aloha.control={then}, or weights of this control"
            )
