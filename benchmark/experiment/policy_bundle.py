"""A trained policy as one folder that acts without demonstrations, simulator or the folder of its cell.

`bundle.json` says what it is and has the sha256 of everything else; `policy.safetensors` is the whole policy with the
weights that were retested, frozen parts and normalisers included; `source/` is the text of a method that is a user's
file. Nothing is unpickled, and code that lies in a bundle is run only where the caller asks for it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from benchmark.experiment.cell import Cell
from benchmark.experiment.cell_run import CellRun
from benchmark.experiment.finished_cell import finished_policy
from benchmark.experiment.method_source import keep_source
from benchmark.experiment.played_policy import PlayedPolicy
from benchmark.policy.build import build_policy, make_policy
from benchmark.records.paths import Paths
from benchmark.records.record import Record
from benchmark.settings.catalog import register_baselines
from benchmark.settings.instructions import InstructionTable
from benchmark.settings.load import head_from
from benchmark.settings.policy import WINDOW, PolicyConfig
from benchmark.system.checked_json import NotPlain, read_json
from benchmark.system.files import discard, explain, write_json
from envs.action_parts import ActionPart
from envs.errors import UserError
from envs.source import source_hash
from envs.spec import ActionSpec, FieldSpec
from methods.base import Representation
from methods.code import code_facts, texts_of
from methods.errors import BadWeights
from methods.frozen import fingerprint
from methods.policy import Policy
from methods.registry import is_known, is_shipped, method_class
from methods.testing import random_observations
from methods.weights import read_tensors

FORMAT = 1
FACTS, TENSORS, SOURCE = "bundle.json", "policy.safetensors", "source"
STEPS = 3
"""Of made-up observations, that a bundle is tried on before it is there."""
INSTRUCTIONS = "instructions"
"""The tensor of instructions' features, beside the policy's own."""


class BadBundle(UserError, ValueError):
    """A folder that is no bundle, is damaged, or whose method is other code than it was made with."""


def export_policy(record: Record, cell: Cell, paths: Paths, folder: Path) -> Path:
    """Write the policy that the record's retest played; `folder` is whole afterwards, or not there.

    cell: the record's own (`benchmark.experiment.cell_of_record.cell_of`). A frozen method that was fitted to its
    training observations is fitted again, for which the demonstrations have to be there. Raises `BadBundle` for a
    folder that is there already, `CheckpointGone` for a checkpoint that is not the record's or not there, and what
    loading weights raises.
    """
    if os.path.lexists(folder):
        raise BadBundle(f"{folder} is there already; give a folder that is not, or remove it")
    env, specs = cell.settings.simulator(), cell.specs()
    run = CellRun(cell, paths, cell.work(paths), "export", finished=record)
    table = run.instruction_features.table if run.instruction_features else None
    policy = finished_policy(run, record, table.dim if table else 0)
    now = fingerprint(policy.representation or torch.nn.Module())
    if record.frozen["by_card"] and now != record.frozen["after"]:
        raise BadBundle(
            f"the frozen network of {cell.method_name} is another here ({now[:12]}) than in the record "
            f"({record.frozen['after'][:12]}): its weights or torch's initialisation are not the same"
        )
    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in policy.state_dict().items()}
    if table is not None:
        tensors[INSTRUCTIONS] = torch.from_numpy(np.ascontiguousarray(table.features))
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.parent / f".{folder.name}.{os.getpid()}.new"
    try:
        with explain(folder):
            unfinished.mkdir()
            save_file(tensors, unfinished / TENSORS)
            keep_source(cell.texts(), unfinished / SOURCE)
            facts = _facts(record, cell, specs, env.action_spec, table)
            facts["files"] = {
                path.relative_to(unfinished).as_posix(): _sha256(path)
                for path in sorted(unfinished.rglob("*"))
                if path.is_file()
            }
            write_json(unfinished / FACTS, facts)
            _acts_alike(
                unfinished,
                PlayedPolicy(policy.cpu().eval(), _observed(specs), env.action_spec, table, facts, torch.device("cpu")),
            )
            unfinished.rename(folder)
    finally:
        discard(unfinished)
    return folder


def load_policy(folder: Path | str, run_its_code: bool = False, device: str = "cpu") -> PlayedPolicy:
    """The policy in a bundle, ready to act. Needs neither a simulator nor demonstrations.

    run_its_code: a method that was a user's file lies in the bundle as text; it is run only if this says so.
    Raises `BadBundle` for anything that is not what was written.
    """
    register_baselines()
    folder = Path(folder)
    facts = _read_facts(folder)
    for name, digest in facts["files"].items():
        file = folder / name
        if not file.resolve().is_relative_to(folder.resolve()) or not file.is_file() or _sha256(file) != digest:
            raise BadBundle(f"{file} is missing or is not what the bundle says: it was damaged or changed")
    try:
        specs = {spec["name"]: FieldSpec(**{**spec, "shape": tuple(spec["shape"])}) for spec in facts["observation"]}
        bounds = {name: tuple(facts["action"][name]) for name in ("names", "low", "high")}
        parts = tuple(ActionPart(**part) for part in facts["action"].get("parts", ()))
        action = ActionSpec(**bounds, unit=facts["action"]["unit"], parts=parts)
        target = _method(folder, facts["method"], facts["files"], run_its_code)
        options = facts["method"]["options"]
        whole = "chunk" in facts["head"] and not facts["head"].get("card", "x")
        representation = None if whole else method_class(target).under(options)(specs, **options)
        tensors = read_tensors(folder / TENSORS)
        features = tensors.pop(INSTRUCTIONS, None)
        dim = 0 if features is None else features.shape[1]
        size = facts["proprio_size"]
        policy = _policy(folder, facts, (representation, specs, action, target), (size, dim), run_its_code)
        _fill(policy, tensors, folder)
    except (KeyError, TypeError, AttributeError, BadWeights) as error:
        raise BadBundle(
            f"{folder} is no bundle that this version can load ({type(error).__name__}: {error})"
        ) from error
    table = None
    if features is not None:
        table = InstructionTable(facts["instructions"], features.numpy(), facts["text"])
    return PlayedPolicy(policy.to(device).eval(), _observed(specs), action, table, facts, torch.device(device))


def _observed(specs: Mapping[str, FieldSpec]) -> dict[str, FieldSpec]:
    """What an observation has to hold; the latest actions a policy remembers by itself."""
    return {name: spec for name, spec in specs.items() if name != "past_actions"}


def _acts_alike(bundle: Path, policy: PlayedPolicy) -> None:
    """Load what was written and let both act on made-up observations. Raises `BadBundle` where they differ.

    A method that keeps what `fit` has found in a plain attribute, which no state holds, is found by this alone.
    """
    loaded = load_policy(bundle, run_its_code=True)
    fields = random_observations(policy.observation, STEPS)
    sentence = policy.instructions.sentences[0] if policy.instructions else None
    for one in (policy, loaded):
        one.reset(sentence, seed=1)
    for step in range(STEPS):
        observation = {name: value[step].numpy() for name, value in fields.items()}
        actions = []
        for one in (policy, loaded):
            with torch.random.fork_rng(devices=[]):  # a method may draw while it encodes
                torch.manual_seed(step)
                actions.append(one.act(observation))
        if not np.array_equal(actions[0], actions[1]):
            kind = type(policy.policy.representation or policy.policy)
            raise BadBundle(
                f"the policy would act otherwise once it is loaded: {kind.__name__} keeps something outside its "
                "parameters and buffers; use register_buffer for what fit() or load_weights() sets"
            )


def _facts(
    record: Record, cell: Cell, specs: dict[str, FieldSpec], action: ActionSpec, table: InstructionTable | None
) -> dict[str, Any]:
    card, head = cell.card, cell.settings.head
    plain_head = dataclasses.asdict(head)
    if isinstance(head, PolicyConfig):
        del plain_head["policy"], plain_head["weights"]  # where files lie here
        if not head.whole:
            plain_head["method"] = _named(head.policy, head.card, head.options)
    return {
        "format": FORMAT,
        "label": cell.label,
        "identity_hash": record.identity_hash,
        "identity": record.identity,
        "method": _named(cell.method, card.name, cell.options),
        "card": card.as_dict(),
        "head": plain_head,
        "observation": [dataclasses.asdict(spec) for spec in specs.values()],
        "cameras": list(cell.request.cameras),
        "action": dataclasses.asdict(action),
        "proprio_size": len(cell.settings.simulator().proprio_names),
        "horizon": record.horizon,
        "precision": cell.settings.runtime.precision,
        "instructions": table.sentences if table else [],
        "text": table.text if table else None,
        "epoch": record.selected_epoch,
        "retest": dataclasses.asdict(record.retest.tally),
        "weights": {**cell.weights.hashes(), **cell.policy_weights.hashes()},
        "licence": card.licence,
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }


def _read_facts(folder: Path) -> dict[str, Any]:
    try:
        facts = read_json(folder / FACTS)
    except NotPlain as error:
        raise BadBundle(
            f"{folder} is no bundle: {FACTS}: {error}; `bench export policy CELL --to FOLDER` makes one"
        ) from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise BadBundle(f"{folder / FACTS} is of another format than {FORMAT}, which this version reads")
    if not isinstance(facts.get("files"), dict) or TENSORS not in facts["files"]:
        raise BadBundle(f"{folder / FACTS} names no {TENSORS}")
    return facts


def _named(target: str, name: str, options: Mapping[str, str]) -> dict[str, Any]:
    """A method, or a policy over one: its card's name, options, code, and where that lies in the bundle."""
    found: dict[str, Any] = {"name": name, "options": dict(options), "code": code_facts(target)}
    if texts_of(target):
        file, _, kind = target.rpartition(":")
        found |= {"file": Path(file).name if file.endswith(".py") else None, "class": kind}
    return found


def _policy(
    folder: Path,
    facts: dict[str, Any],
    made: tuple[Representation | None, dict[str, FieldSpec], ActionSpec, str],
    widths: tuple[int, int],
    run_its_code: bool,
) -> Policy:
    """The policy, not filled yet. made: its representation, fields, action, and what names the method here. widths: of
    proprioception and of an instruction's feature."""
    representation, specs, action, target = made
    head, (size, dim) = facts["head"], widths
    if "chunk" not in head or "denoiser" in head:
        assert representation is not None
        return make_policy(head_from(head), representation, size, action, dim)
    options, values = facts["method"]["options"], {key: head[key] for key in ("name", "card", *WINDOW)}
    if representation is not None:
        target = _method(folder, head["method"], facts["files"], run_its_code, "policy/")
        options = head["method"]["options"]
    return build_policy(PolicyConfig(policy=target, **values), specs, action, representation, options, dim)


def _method(
    folder: Path, method: dict[str, Any], files: Mapping[str, str], run_its_code: bool, inside: str = ""
) -> str:
    """What names the method here. Raises `BadBundle` for other code than the bundle was made with.

    inside: a folder of the source, with a slash.
    """
    name = str(method["name"])
    if not method.get("file"):  # it is installed here, or it cannot be loaded; no name may be a file's
        if not is_known(name) or (("source" not in method["code"]) != is_shipped(name)):
            raise BadBundle(f"there is no method called {name} here; install the package that brings it")
        now = code_facts(name)
        if now != method["code"]:
            raise BadBundle(f"{name} is other code here ({now}) than the bundle was made with ({method['code']})")
        return name
    if not run_its_code:
        raise BadBundle(
            f"the method of {folder} is somebody's file, whose code lies in {folder / SOURCE}: read it, then give "
            "run_its_code=True"
        )
    if Path(method["file"]).name != method["file"] or f"{SOURCE}/{inside}{method['file']}" not in files:
        raise BadBundle(f"{method['file']} is no file of {folder / SOURCE}")
    target = f"{folder / SOURCE / inside / method['file']}:{method['class']}"
    if source_hash(texts_of(target)) != method["code"]["source"]:
        raise BadBundle(f"{folder / SOURCE} is not the code that the bundle was made with")
    return target


def _fill(policy: Policy, tensors: dict[str, torch.Tensor], folder: Path) -> None:
    own = policy.state_dict()
    odd = sorted(set(own) ^ set(tensors)) or [n for n in own if own[n].shape != tensors[n].shape]
    if odd:
        raise BadBundle(
            f"{folder / TENSORS} does not fit its policy: {odd[0]}" + (f" and {len(odd) - 1} more" if odd[1:] else "")
        )
    policy.load_state_dict(tensors)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
