"""One method's features as a file that travels: its row can be trained where the weights are not.

`bench features export` needs the weights and leaves one safetensors file for each task. `bench features train` needs
only that file: it leaves the checkpoints that `bench run` looks for, so that a run on a machine with the weights does
the rollouts alone and ends with the same record as if it had trained itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark import seeds
from benchmark.begun import check_demos
from benchmark.cell import Cell, Paths, difference
from benchmark.data.demos import load_or_collect
from benchmark.data.features import FeatureCache
from benchmark.data.observations import cache_key, load_or_render, open_pool
from benchmark.policy.policy import make_policy
from benchmark.progress import bar
from benchmark.protocol import ConfigError
from benchmark.runtime import resolve_device, resolve_workers
from benchmark.storage import exclusive, write_atomically
from benchmark.train import Samples, Trainer
from methods.base import Representation
from methods.card import MethodCard
from methods.code import code_facts
from methods.weights import Weights

FORMAT = 2
NAMES = ("suite", "env", "observation", "method", "precision")
"""Parts of a cell's identity that an export has to share with whoever trains on it."""


class BadExport(ValueError):
    """A file that is no export, or one of other demonstrations or settings."""


class Stored(Representation):
    """Stands for an encoder that is not here: the policy over it takes features."""

    def __init__(self, card: MethodCard, feature_dim: int) -> None:
        nn.Module.__init__(self)
        self.card = card  # type: ignore[misc]
        self.feature_dim = feature_dim

    def encode(self, observations: Mapping[str, Tensor]) -> Tensor:
        raise LookupError(f"the weights of {self.card.name} are not here, only its features")


def export(cell: Cell, paths: Paths, folder: Path) -> Path:
    """Encode the cell's demonstrations, or take what is cached, and write them to `folder`."""
    from safetensors.numpy import save

    card = cell.representation.card
    if not card.frozen:
        raise ConfigError(f"{card.name} is trained ({card.training}): it has no features that stay the same")
    if not card.weights:
        raise ConfigError(f"{card.name} has no pre-trained weights: `bench run` needs nothing that is not there")
    if cell.settings.suite.language is not None:
        raise ConfigError(f"{cell.settings.suite.name} gives instructions, which an export of features does not hold")
    settings, runtime = cell.settings, cell.settings.runtime
    suite, workers, python = settings.suite, resolve_workers(runtime), settings.env_python
    demos = load_or_collect(paths.data, suite.name, suite.env, cell.task, settings.protocol, workers, python)
    pool, renderer = open_pool(suite.env, cell.task, cell.request, workers, python, runtime.worker_timeout)
    with pool:
        policy = frozen_policy(cell, resolve_device(runtime))
        cache = FeatureCache(
            paths.data, f"{cell.task}-{cell.method_name}", cache_key(demos, cell.request, renderer), policy,
            cell.options, code_facts(cell.method), resolve_device(runtime), runtime.precision == "bf16",
        )  # fmt: skip
        actions = demos.arrays["actions"]
        feature, proprio = cache.load(
            lambda: load_or_render(paths.data, demos, cell.request, pool, renderer), actions.shape[1]
        )
    facts = {
        "format": FORMAT, "task": cell.task, "method": cell.method_name, "steps": actions.shape[1],
        "train_episodes": demos.train, "demo_hash": demos.content_hash, "weights": cell.weights.label,
        "weights_sha256": cell.weights.hashes(), "names": _names(cell), "cache": cache.facts,
        "card": card.as_dict(),
    }  # fmt: skip
    arrays = {"feature": np.array(feature), "proprio": np.array(proprio), "actions": actions.reshape(len(feature), -1)}
    content = save(arrays, {"repbench": json.dumps(facts)})
    target = folder / f"{cell.task}-{cell.method_name}.safetensors"
    write_atomically(target, lambda file: file.write(content))
    return target


def frozen_policy(cell: Cell, device: torch.device) -> Any:
    """The cell's policy, ready to encode; only for methods whose normalisers need no fitting."""
    representation = cell.build(cell.specs())
    if type(representation).fit is not Representation.fit:
        raise ConfigError(
            f"{cell.method_name} fits normalisers on the demonstrations; only pre-trained encoders do not"
        )
    representation.freeze_as_card_says()
    env = cell.settings.suite.env_class()
    return make_policy(cell.settings.head, representation, len(env.proprio_names), env.action_spec.size).to(device)


def _names(cell: Cell) -> dict[str, Any]:
    """What features depend on, and the head does not."""
    return {key: value for key, value in cell.identity().items() if key in NAMES}


def read_export(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Facts and arrays (feature, proprio, actions). Raises `BadExport`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            facts = json.loads((file.metadata() or {})["repbench"])
            arrays = {name: file.get_tensor(name) for name in ("feature", "proprio", "actions")}
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise BadExport(f"{path} is no export of features ({type(error).__name__}: {error})") from error
    if facts["format"] != FORMAT:
        raise BadExport(f"{path} has format {facts['format']}; this version reads {FORMAT}")
    return facts, arrays


def known_weights(facts: Mapping[str, Any]) -> Weights:
    """The weights the export was made with: their hashes, without the files."""
    return Weights(facts["weights"], known=tuple(facts["weights_sha256"].items()))


def train_from(cell: Cell, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray], paths: Paths) -> list[Path]:
    """Train the cell's head on exported features; returns its checkpoints. What is there already is kept."""
    settings, protocol = cell.settings, cell.settings.protocol
    if facts["steps"] != protocol.horizon or facts["train_episodes"] != protocol.train_demos:
        raise BadExport(
            f"the export holds {facts['train_episodes']} training demonstrations of {facts['steps']} steps; protocol "
            f"{protocol.name} wants {protocol.train_demos} of {protocol.horizon}"
        )
    if facts["names"] != _names(cell):
        other = difference(facts["names"], _names(cell))
        raise BadExport(
            f"the export's features were made under other settings or code than these ({other}): "
            "`bench features export` makes them again where the weights are"
        )
    env, device = settings.suite.env_class(), resolve_device(settings.runtime)
    torch.manual_seed(seeds.training_seed(cell.seed, "head"))
    stored = Stored(cell.representation.card, arrays["feature"].shape[-1])
    policy = make_policy(settings.head, stored, len(env.proprio_names), env.action_spec.size).to(device)
    tensors = {name: torch.from_numpy(arrays[name]).to(device) for name in ("feature", "proprio")}
    targets = torch.from_numpy(arrays["actions"]).to(device)
    if protocol.clip_actions:
        targets = targets.clamp(torch.tensor(env.action_spec.low), torch.tensor(env.action_spec.high))
    train = facts["train_episodes"] * facts["steps"]
    parts = [
        Samples({n: t[rows] for n, t in tensors.items()}, targets[rows], facts["steps"])
        for rows in (slice(0, train), slice(train, None))
    ]
    policy.head.fit(parts[0].actions, parts[0].inputs["proprio"])
    trainer = Trainer(policy, protocol, cell.seed, cell.batch_size, device, settings.runtime.precision == "bf16")
    work, identity = cell.work(paths), cell.identity_hash()
    written: list[Path] = []
    with exclusive(work / "lock", cell.label, wait=False):
        check_demos(work, facts["demo_hash"])
        newest = max(work.glob("epoch-*.pt"), default=None)
        if newest is not None:
            trainer.restore(newest, identity)
        with bar(f"train {cell.label}", protocol.epochs, trainer.epoch) as advance:
            for epoch in protocol.evaluation_epochs:
                if trainer.epoch < epoch:
                    while trainer.epoch < epoch:
                        advance(note=f"loss {trainer.train_epoch(parts[0]):.4f}")
                    trainer.validate(parts[1])
                    trainer.save(work / f"epoch-{epoch:04d}.pt", identity)
                written.append(work / f"epoch-{epoch:04d}.pt")
    return written
