"""Both pre-trainings on a pretended CUDA device: every term, parts of a batch, killed, gone on with, judged, loaded."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark.encoders.specs import encoder_specs
from benchmark.pretrain import run as runs
from benchmark.pretrain.batches import Loader
from benchmark.pretrain.job import PretrainJob, make_job
from benchmark.pretrain.loading import load_pretraining, objective_of
from benchmark.pretrain.retrieval import retrieval
from benchmark.pretrain.teacher_features import TeacherFeatures
from benchmark.pretrain.trainer import PretrainTrainer, read_together
from benchmark.records.paths import Paths
from benchmark.settings.runtime import Runtime
from methods.clar.encoder import EncoderConfig
from methods.clar.representation import CLAR, CLARSmall
from methods.registry import method_class
from tests.pretend_cuda import pretend_cuda
from tests.pretrain import scenes
from tests.pretrain.stopping import stopped_before

GPU = torch.device("cuda")
TINY = EncoderConfig(patches=8, patch_points=8, width=32, depth=2, heads=2, drop_path=0.1, hidden=(8, 16, 16))
FEW = ["epochs=1", "warmup_epochs=0", "batch_size=4", "log_every=2", "local_width=32", "local_heads=4"]
CASES: dict[str, tuple[str, list[str], tuple[str, ...], str]] = {
    "clar-small": ("clar-small", [], (), "fp32"),
    "clar, bf16, parts": ("clar", ["accumulate=2"], (), "bf16"),
    "clar, mae alone": ("clar", ["accumulate=2"], ("contrast", "local"), "fp32"),
    "clar, contrast within the batch": ("clar", ["local_negatives=batch"], ("mae",), "fp32"),
}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    shards = [scenes.shard(12, 6, held_out=2, task=task, seed=seed) for seed, task in enumerate(("door-open", "push"))]
    monkeypatch.setattr(runs, "open_frames", lambda *_: scenes.frames(*shards))
    monkeypatch.setattr("benchmark.settings.machine.use_repeatable_kernels", lambda: None)
    for kind in (CLAR, CLARSmall):
        monkeypatch.setattr(kind, "config", TINY)


def pretrained(job: PretrainJob, tmp_path: Path) -> dict[str, Any]:
    runtime = Runtime("cuda", job.config.precision, 1, 1, 60.0, str(tmp_path / "weights"))
    return runs.pretrain(job, Paths(tmp_path, tmp_path / "data"), runtime, "bench pretrain")[0]


def lines_of(function: Any) -> set[str]:
    text, first = inspect.getsourcelines(function)
    return {f"{inspect.getsourcefile(function)}:{number}" for number in range(first, first + len(text))}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_killed_it_ends_with_the_same_weights_which_a_cpu_loads(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, overrides, without, precision = CASES[case]
    jobs = [
        make_job(method, ["metaworld-35"], without, "random", [*FEW, *overrides, f"precision={precision}"], name)
        for name in ("whole", "killed")
    ]
    whole, killed = jobs
    with pretend_cuda() as seen:
        card = pretrained(whole, tmp_path)
    assert card["provenance"]["machine"]["device"] == "pretended GPU 0" and not seen.notes
    assert card["steps"] == 4
    assert not seen.copies.keys() & lines_of(PretrainTrainer.train_step), "batches come from pinned memory"
    monkeypatch.setattr(runs, "SAVE_EVERY", 0.0)
    with pretend_cuda():
        with stopped_before(3):
            pretrained(killed, tmp_path)
        again = pretrained(killed, tmp_path)
    assert again["history"] == card["history"] and len(again["attempts"]) == 2
    ours, theirs = (load_pretraining(one.weights(tmp_path))[0].state_dict() for one in (killed, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs), "and they are loaded without a GPU"
    kind = method_class(method)
    kind(encoder_specs(kind.card)).load_weights([whole.weights(tmp_path)])


@pytest.mark.slow
def test_it_is_judged_on_the_gpu(tmp_path: Path) -> None:
    job = make_job("clar-small", ["metaworld-35"], (), "random", FEW)
    with pretend_cuda():
        pretrained(job, tmp_path)
        model, card = load_pretraining(job.weights(tmp_path))
        frames, objective = scenes.frames(scenes.shard(12, 6, held_out=2)), objective_of(card)
        teacher = objective.open_teacher("random", tmp_path / "weights")
        taught = TeacherFeatures(frames, teacher, Paths(tmp_path, tmp_path / "data").caches, GPU)
        found = retrieval(model, Loader(frames, objective, taught, 1, 0), 2, 0, GPU)
    assert {row["query"] for row in found["results"]} >= {"image@1", "text@1"}


def test_the_host_waits_once_a_step_whatever_the_number_of_terms() -> None:
    values = {"a": torch.tensor(1 / 3), "b": torch.tensor(1 / 3, dtype=torch.float64), "c": torch.tensor(7)}
    assert read_together(values) == {name: float(value) for name, value in values.items()}
    with pretend_cuda() as seen:
        there = {name: value.to("cuda") for name, value in values.items()}
        read_together(there)
    assert sum(seen.waits.values()) <= 1
