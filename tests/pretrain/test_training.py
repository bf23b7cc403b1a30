"""Pre-training's loop: undisturbed when resumed, the same over parts and processes, and no teacher moves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.policy.policy import PolicyDiverged
from benchmark.pretrain.batches import Loader
from benchmark.pretrain.processes import Group
from benchmark.pretrain.teacher_features import TeacherFeatures
from benchmark.pretrain.trainer import PretrainTrainer
from benchmark.settings.clar_pretraining import ClarPretrainConfig
from benchmark.settings.pretraining import load_pretrain
from benchmark.system.errors import OtherSettings
from methods.clar.encoder import EncoderConfig
from methods.clar.objective import ClarObjective
from methods.clar.pretraining import Options, Pretraining
from methods.clar.representation import CLAR
from methods.clar.teacher import RandomTeacher
from tests.methods.test_clar_objective import SPECS
from tests.pretrain import scenes
from tests.pretrain.in_several import assert_processes_have

pytestmark = pytest.mark.slow

TINY = EncoderConfig(patches=8, patch_points=8, width=32, depth=2, heads=2, drop_path=0.1, hidden=(8, 16, 16))


class TinyCLAR(CLAR):
    config = TINY


def config(*overrides: str) -> ClarPretrainConfig:
    small = ["epochs=4", "warmup_epochs=1", "batch_size=8", "local_width=32", "local_heads=4", "log_every=1"]
    found = load_pretrain("clar", [*small, *overrides])
    assert isinstance(found, ClarPretrainConfig)
    return found


def taught_frames(tmp: Path, frames: Any = None) -> tuple[Any, TeacherFeatures, RandomTeacher]:
    # "one" has two shards, as two cameras give them
    frames = frames or scenes.frames(
        scenes.shard(20, 10, task="one", held_out=2),
        scenes.shard(20, 10, task="one", held_out=2, seed=2),
        scenes.shard(task="two", seed=1),
    )
    teacher = RandomTeacher(size=32, patch=4, dim=16, map_dim=64)
    return frames, TeacherFeatures(frames, teacher, tmp, torch.device("cpu")), teacher


def build(c: ClarPretrainConfig) -> Pretraining:
    torch.manual_seed(0)
    return Pretraining(TinyCLAR(SPECS, norm=c.norm, feature=c.feature), c.options(), 16, 64)


def loader_of(
    frames: Any, taught: TeacherFeatures, size: int = 8, seed: int = 0, rank: int = 0, world: int = 1
) -> Loader:
    objective = ClarObjective(TinyCLAR, SPECS, Options(), "fixed", "cls+max")
    return Loader(frames, objective, taught, size, seed, rank, world)


def trainer_of(c: ClarPretrainConfig, loader: Loader, group: Group | None = None) -> PretrainTrainer:
    return PretrainTrainer(build(c), c, loader.steps_per_epoch, torch.device("cpu"), group)


def run(trainer: PretrainTrainer, loader: Loader, last: int, **kw: Any) -> list[dict[str, float]]:
    return [trainer.train_step(batch, **kw) for batch in loader.start(trainer.step, last)]


def state(trainer: PretrainTrainer) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


def test_resumed_in_mid_epoch_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    frames, taught, teacher = taught_frames(tmp_path)
    before = teacher.of_patch.clone(), teacher.of_grid.clone(), taught.texts.clone()
    c = config()
    loader = loader_of(frames, taught)
    assert loader.steps_per_epoch == 8
    whole = trainer_of(c, loader)
    expected = run(whole, loader, 19)
    half = trainer_of(c, loader)
    run(half, loader, 11)  # in the middle of the second epoch
    half.save(tmp_path / "resume.pt", "me", {"note": [1, 2.5, "x"]})
    torch.rand(100)  # whatever else drew meanwhile
    fresh = trainer_of(c, loader)
    assert fresh.restore(tmp_path / "resume.pt", "me") == {"note": [1, 2.5, "x"]}
    assert run(fresh, loader, 19) == expected[11:]
    ours, theirs = state(fresh), state(whole)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    after = teacher.of_patch, teacher.of_grid, taught.texts
    assert all(torch.equal(a, b) and not a.requires_grad for a, b in zip(after, before, strict=True))
    with pytest.raises(OtherSettings, match="other settings"):
        fresh.restore(tmp_path / "resume.pt", "somebody else")


def test_the_loss_falls_and_the_rate_follows_its_schedule(tmp_path: Path) -> None:
    frames, taught, _ = taught_frames(tmp_path)
    loader = loader_of(frames, taught)
    trainer = trainer_of(config("learning_rate=2e-3"), loader)
    terms = run(trainer, loader, 32)
    assert sum(t["total"] for t in terms[-6:]) < 0.8 * sum(t["total"] for t in terms[:6])
    assert trainer.rate(7) == pytest.approx(2e-3)
    assert trainer.rate(0) == pytest.approx(1e-6 + (2e-3 - 1e-6) / 8)
    assert trainer.rate(8) > trainer.rate(20) > trainer.rate(31) > 1e-6
    assert trainer.rate(32) == pytest.approx(1e-6)


def test_gradient_norms_are_those_of_each_weighted_term(tmp_path: Path) -> None:
    frames, taught, _ = taught_frames(tmp_path)
    loader = loader_of(frames, taught)
    terms = run(trainer_of(config(), loader), loader, 1, norms=True)[0]
    names = {name for name in terms if name.startswith("gradient/")}
    assert names == {f"gradient/{term}" for term in ("mae", "image", "text", "local")}
    scaled = run(trainer_of(config("weight_mae=15"), loader), loader, 1, norms=True)[0]
    assert scaled["gradient/mae"] == pytest.approx(10 * terms["gradient/mae"], rel=1e-3)
    assert scaled["gradient/image"] == pytest.approx(terms["gradient/image"], rel=1e-5)


def still(trainer: PretrainTrainer) -> PretrainTrainer:
    """Without what depends on who shares a batch: masks, drop path, BatchNorm's statistics of a batch."""
    trainer.model.train = lambda mode=True: trainer.model  # type: ignore[method-assign]
    trainer.model.eval()
    for module in trainer.model.modules():
        if module is not trainer.model:
            module.training = False
    return trainer


def gradients(trainer: PretrainTrainer) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None])


def test_parts_of_a_batch_have_the_whole_batchs_gradient(tmp_path: Path) -> None:
    frames, taught, _ = taught_frames(tmp_path)
    loader = loader_of(frames, taught)
    batch = next(loader.start(0, 1))
    whole = still(trainer_of(config("mae=false"), loader))
    parts = still(trainer_of(config("mae=false", "accumulate=4"), loader))
    one, other = whole.train_step(batch), parts.train_step(batch)
    assert other["image"] == pytest.approx(one["image"], rel=1e-5)
    assert other["text"] == pytest.approx(one["text"], rel=1e-5)
    # the local term's mean is over each part's visible patches; here all parts have nearly as many
    assert torch.nn.functional.cosine_similarity(gradients(whole), gradients(parts), dim=0) > 0.999
    only = [still(trainer_of(config("mae=false", "local=false", f"accumulate={n}"), loader)) for n in (1, 4)]
    for trainer in only:
        trainer.train_step(batch)
    error = (gradients(only[0]) - gradients(only[1])).norm() / gradients(only[0]).norm()
    assert error < 1e-5


def test_a_pass_that_is_made_twice_counts_once_in_batchnorm(tmp_path: Path) -> None:
    frames, taught, _ = taught_frames(tmp_path)
    loader = loader_of(frames, taught)
    trainer = trainer_of(config("accumulate=2"), loader)
    run(trainer, loader, 3)
    seen = trainer.model.state_dict()["representation.encoder.patch_embed.first.1.num_batches_tracked"]
    assert seen == 3 * 2 * 2, "3 steps of 2 parts, each seen once masked and once whole"


def test_two_processes_have_one_processs_gradient(tmp_path: Path) -> None:
    """Gathered negatives: each process has half of the batch, and contrast sees all of it."""
    frames, taught, _ = taught_frames(tmp_path)
    loader = loader_of(frames, taught)
    alone = still(trainer_of(config("mae=false", "local=false"), loader))
    alone.train_step(next(loader.start(0, 1)))
    expected = gradients(alone)
    assert_processes_have(expected, tmp_path)


def test_bfloat16_trains(tmp_path: Path) -> None:
    frames, taught, _ = taught_frames(tmp_path)
    loader = loader_of(frames, taught)
    full, half = (run(trainer_of(config(f"precision={p}"), loader), loader, 1)[0] for p in ("fp32", "bf16"))
    assert set(half) == set(full)
    assert all(half[name] == pytest.approx(full[name], rel=0.05) for name in full), (half, full)
    assert half["seen"] == full["seen"], "cameras are projected through in full precision"
    assert half != full


def test_diverging_is_named(tmp_path: Path) -> None:
    frames, taught, _ = taught_frames(tmp_path)
    loader = loader_of(frames, taught)
    trainer = trainer_of(config(), loader)
    with torch.no_grad():
        next(trainer.model.representation.encoder.parameters()).fill_(torch.nan)
    with pytest.raises(PolicyDiverged, match="pre-training diverged"):
        run(trainer, loader, 1)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["batch_size=1"], "at least 2"),
        (["accumulate=3"], "no multiple"),
        (["mask_low=0.9"], "between 0 and 1"),
        (["mae=false", "contrast=false", "local=false"], "nothing is left"),
        (["warmup_epochs=4"], "less than"),
        (["form=nce"], "none of infonce"),
        (["epochs=many"], "must be a whole"),
        (["precision=fp16"], "none of fp32"),
        (["local_heads=5"], "no multiple"),
        (["augment=flip"], "none of none"),
        (["norm=limits"], "none of fixed, task"),
    ],
)
def test_settings_that_cannot_be_run_are_named(overrides: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config(*overrides)


def test_an_unknown_setting_is_named_with_its_neighbour() -> None:
    with pytest.raises(KeyError, match="batch_size"):
        config("batchsize=8")


def test_the_papers_weights_and_masks_are_the_defaults() -> None:
    c = load_pretrain("clar")
    assert (c.weight_mae, c.weight_image, c.weight_text, c.weight_local) == (1.5, 0.5, 0.5, 0.5)
    assert (c.mask_low, c.mask_high) == (0.6, 0.8)
    small = load_pretrain("clar-small")
    differing = {k for k, v in c.identity().items() if small.identity()[k] != v}
    assert differing == {"epochs", "warmup_epochs"}
    assert json.dumps(c.identity())


def test_what_another_teachers_code_made_is_taught_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The same weights under changed code, and a file that was cut off: named, and never used."""
    _, taught, _ = taught_frames(tmp_path)
    first = [{name: array.copy() for name, array in images.items()} for images in taught.arrays]
    assert "made again" not in capfd.readouterr().err
    real = RandomTeacher.images
    monkeypatch.setattr(RandomTeacher, "images", lambda self, rgb: tuple(1.01 * part for part in real(self, rgb)))
    changed = taught_frames(tmp_path)[1]
    said = capfd.readouterr().err
    assert said.count("was made by other code or weights") == len(first) == said.count("made again")
    for before, after in zip(first, changed.arrays, strict=True):
        np.testing.assert_allclose(after["image_feature"], 1.01 * before["image_feature"], rtol=1e-5)
    expected = np.array(changed.arrays[0]["image_map"])
    file = Path(str(changed.arrays[0]["image_map"].filename))  # type: ignore[attr-defined]
    file.write_bytes(file.read_bytes()[:-100])
    again = taught_frames(tmp_path)[1]
    assert f"{file.parent} has a damaged image_map.npy" in capfd.readouterr().err
    np.testing.assert_array_equal(again.arrays[0]["image_map"], expected)
