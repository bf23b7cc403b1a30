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

from benchmark.data.episodes import Episodes, equal_pieces
from benchmark.data.features import FeatureCache
from benchmark.data.observation_source import Observations
from benchmark.data.observations import cache_key, open_pool
from benchmark.data.residence import Residence
from benchmark.data.samples import Samples
from benchmark.experiment.cell import Cell
from benchmark.experiment.existing_work import check_demos
from benchmark.experiment.task_data import load_demos
from benchmark.experiment.work_folder import WorkFolder
from benchmark.policy.build import make_policy
from benchmark.records.hash_chain import first_link
from benchmark.records.paths import Paths
from benchmark.settings import seeds
from benchmark.settings.head import DiffusionConfig, HeadConfig
from benchmark.settings.machine import resolve_device, resolve_workers
from benchmark.settings.policy import PolicyConfig
from benchmark.settings.seeds import selection_seeds
from benchmark.system.difference import difference
from benchmark.system.errors import ConfigError
from benchmark.system.files import exclusive, write_atomically
from benchmark.system.progress import bar
from benchmark.training.trainer import Trainer
from envs.errors import UserError
from envs.files import why_no_file
from methods.base import Representation
from methods.card import MethodCard
from methods.code import code_facts
from methods.weights import Weights

FORMAT = 2
NAMES = ("suite", "env", "observation", "method", "precision")
"""Parts of a cell's identity that an export has to share with whoever trains on it."""


class BadExport(UserError, ValueError):
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
    if cell.settings.of_task(cell.task).frame_every > 1:
        raise ConfigError("an export has a feature for every action: frame_every=1 in suite.rules or protocol")
    settings, runtime = cell.settings, cell.settings.runtime
    suite, workers, python = settings.suite, resolve_workers(runtime), settings.env_python
    (demos,) = load_demos(cell, paths, workers)
    pool, renderer = open_pool(suite.env, cell.task, cell.request, workers, python, runtime.worker_timeout)
    with pool:
        policy = frozen_policy(cell, resolve_device(runtime))
        cache = FeatureCache(
            paths.caches,
            f"{cell.task}-{cell.method_name}",
            cache_key(demos, cell.request, renderer),
            policy,
            cell.options,
            code_facts(cell.method),
            resolve_device(runtime),
            runtime.precision == "bf16",
        )
        keep_frame = runtime.keep_frame_mb * 1e6
        observed = Observations(paths.caches, demos, cell.request, pool, renderer, cell.past_actions, keep_frame)
        feature, proprio = cache.load(observed.frames, demos.episodes)
    lengths = demos.episodes.lengths
    facts = {
        "format": FORMAT,
        "task": cell.task,
        "method": cell.method_name,
        "steps": lengths[0] if demos.episodes.equal else list(lengths),
        "train_episodes": demos.train,
        "demo_hash": demos.content_hash,
        "weights": cell.weights.label,
        "weights_sha256": cell.weights.hashes(),
        "names": _names(cell),
        "cache": cache.facts,
        "card": card.as_dict(),
    }
    if set(lengths) != {horizon := settings.of_task(cell.task).horizon}:
        facts["horizon"] = horizon
    arrays = {"feature": np.array(feature), "proprio": np.array(proprio), "actions": demos.arrays["actions"]}
    content = save(arrays, {"repbench": json.dumps(facts)})
    target = folder / f"{cell.task}-{cell.method_name}.safetensors"
    write_atomically(target, lambda file: file.write(content))
    return target


def frozen_policy(cell: Cell, device: torch.device) -> Any:
    """The cell's policy, ready to encode; only for methods whose normalisers need no fitting."""
    representation = cell.build(cell.specs())
    assert representation is not None, "cell.representation has refused a whole policy"
    if type(representation).fit is not Representation.fit:
        raise ConfigError(
            f"{cell.method_name} fits normalisers on the demonstrations; only pre-trained encoders do not"
        )
    representation.freeze_as_card_says()
    env = cell.settings.simulator()
    return make_policy(_head(cell), representation, len(env.proprio_names), env.action_spec).to(device)


def _head(cell: Cell) -> HeadConfig | DiffusionConfig:
    """Raises `ConfigError` for a policy of somebody's own, which may read more than features."""
    if isinstance(cell.settings.head, PolicyConfig):
        raise ConfigError(f"{cell.settings.head.policy} trains on observations, not on exported features: `bench run`")
    return cell.settings.head


def _names(cell: Cell) -> dict[str, Any]:
    """What features depend on, and the head does not."""
    return {key: value for key, value in cell.identity().items() if key in NAMES}


def read_export(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Facts and arrays (feature, proprio, actions). Raises `BadExport`."""
    from safetensors import safe_open

    if why := why_no_file(path):
        raise BadExport(f"{path} {why}; `bench features export` writes such files")
    try:
        with safe_open(path, "np") as file:
            facts = json.loads((file.metadata() or {})["repbench"])
            arrays = {name: file.get_tensor(name) for name in ("feature", "proprio", "actions")}
        format_ = facts["format"]
    except Exception as error:  # the reader's own, and whatever the facts in a damaged header are
        raise BadExport(f"{path} is no export of features ({type(error).__name__}: {error})") from error
    if format_ != FORMAT:
        raise BadExport(f"{path} has format {format_!r:.40}; this version reads {FORMAT}")
    if wrong := _wrong_export(facts, arrays):
        raise BadExport(f"{path} is damaged: {wrong}; `bench features export` makes it again")
    return facts, arrays


KINDS: dict[str, type] = {
    "task": str,
    "method": str,
    "train_episodes": int,
    "demo_hash": str,
    "weights": str,
    "weights_sha256": dict,
    "names": dict,
}


def _wrong_export(facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str | None:
    for name, kind in KINDS.items():
        if type(facts.get(name)) is not kind:
            return f"its {name} is {facts.get(name)!r:.40}, not {kind.__name__}"
    steps = facts.get("steps")
    if not (isinstance(steps, list) and steps) and type(steps) is not int:
        return f"its steps is {steps!r:.40}, neither a number nor one for each demonstration"
    if any(type(one) is not int or one < 1 for one in (steps if isinstance(steps, list) else [steps])):
        return f"it has demonstrations of {steps!r:.40} steps"
    rows = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    whole = sum(steps) == rows["feature"] if isinstance(steps, list) else rows["feature"] % steps == 0
    if len(set(rows.values())) > 1 or not rows["feature"] or not whole:
        return f"it has {rows} rows of demonstrations of {steps!r:.40} steps"
    if not 0 < facts["train_episodes"] <= len(_episodes(facts, rows["feature"])):
        return f"it has {rows['feature']} rows and {facts['train_episodes']} demonstrations to train on"
    for name, array in arrays.items():
        if array.dtype != np.float32 or array.ndim < 2:
            return f"{name} is {array.dtype} {array.shape}, not float32 with a row a frame"
        if not np.isfinite(array).all():
            return f"{name} holds NaN or infinity"
    return None


def _episodes(facts: Mapping[str, Any], rows: int) -> Episodes:
    steps = facts["steps"]
    return Episodes(tuple(steps)) if isinstance(steps, list) else equal_pieces(rows, steps)


def known_weights(facts: Mapping[str, Any]) -> Weights:
    """The weights the export was made with: their hashes, without the files."""
    return Weights(facts["weights"], known=tuple(facts["weights_sha256"].items()))


def train_from(cell: Cell, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray], paths: Paths) -> list[Path]:
    """Train the cell's head on exported features; returns its checkpoints. What is there already is kept."""
    settings, protocol = cell.settings, cell.settings.of_task(cell.task)
    episodes = _episodes(facts, len(arrays["feature"]))
    if facts.get("horizon", facts["steps"]) != protocol.horizon or facts["train_episodes"] != protocol.train_demos:
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
    env, device = settings.simulator(), resolve_device(settings.runtime)
    torch.manual_seed(seeds.training_seed(cell.seed, "head"))
    stored = Stored(cell.representation.card, arrays["feature"].shape[-1])
    policy = make_policy(_head(cell), stored, len(env.proprio_names), env.action_spec).to(device)
    residence = Residence(settings.runtime.resident_gb * 1e9, device)
    tensors = residence.place({name: arrays[name] for name in ("feature", "proprio")})
    targets = torch.from_numpy(arrays["actions"])
    if protocol.clip_actions:
        targets = targets.clamp(torch.tensor(env.action_spec.low), torch.tensor(env.action_spec.high))
    targets = targets.to(device)
    train = facts["train_episodes"]
    own = episodes.first(train), episodes.after(train)
    rows = slice(0, own[0].rows), slice(own[0].rows, None)
    parts = [
        Samples({n: t[part] for n, t in tensors.items()}, targets[part], of_part.lengths)
        for part, of_part in zip(rows, own, strict=True)
    ]
    policy.fit(parts[0].actions, parts[0].inputs["proprio"].to(device))
    trainer = Trainer(policy, protocol, cell.seed, cell.batch_size, device, settings.runtime.precision == "bf16")
    work, identity = cell.work(paths), cell.identity_hash()
    written: list[Path] = []
    with exclusive(work / "lock", cell.label, wait=False):
        check_demos(work, facts["demo_hash"])
        kept = WorkFolder(work, identity, protocol)
        kept.mend(
            first_link(identity, facts["demo_hash"]),
            lambda number: selection_seeds(settings.suite.name, cell.task, number, protocol.rollouts),
        )
        newest = kept.newest()
        if newest is not None:
            trainer.restore(newest, identity)
        done = trainer.steps if protocol.steps else trainer.epoch
        with bar(f"train {cell.label}", protocol.length, done) as advance:
            for epoch in protocol.evaluation_epochs:
                if trainer.epoch < epoch:
                    while trainer.epoch < epoch:
                        before, done = done, trainer.advance(parts[0])
                        advance(done - before, note=f"loss {trainer.loss:.4f}")
                    trainer.validate(parts[1])
                    trainer.save(work / f"epoch-{epoch:04d}.pt", identity)
                written.append(work / f"epoch-{epoch:04d}.pt")
    return written
