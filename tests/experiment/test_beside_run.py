"""`--method aloha-unleashed+clamp-small` and `act+clamp-small` to the record: two arms, two cameras, an encoder and a
policy that were trained before.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.cli.options import say_encoders_only
from benchmark.data.features import FeatureCache
from benchmark.experiment.cell import Cell
from benchmark.experiment.cell_of_record import Where
from benchmark.experiment.cell_of_record import cell_of as cell_of_record
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.place_policy import place_policy
from benchmark.experiment.policy_bundle import export_policy, load_policy
from benchmark.experiment.pretrain_policy import plan_policy_pretraining, pretrain_policy
from benchmark.experiment.run_cell import run_cell
from benchmark.launch.cell_spec import _absolute_weights
from benchmark.records.consistency import contradictions
from benchmark.records.paths import Paths
from benchmark.records.record import Record
from benchmark.report.tables.clamp_3 import row_of
from benchmark.settings.catalog import register_baselines
from benchmark.settings.labels import base_of
from benchmark.settings.load import load_settings
from benchmark.settings.settings import Settings
from benchmark.settings.suite import Suite
from benchmark.system.errors import ConfigError
from benchmark.training.trainer import Trainer
from envs.spec import FieldSpec
from methods.clamp.representation import CLAMP, CLAMPSmall
from methods.errors import BadWeights, WeightsMissing
from methods.weights import sha256
from tests.experiment.test_bimanual import CAMERAS, ENV, RULES

pytestmark = pytest.mark.gl
SHORT = {
    "train_demos": 2,
    "valid_demos": 1,
    "rollouts": 1,
    "retest_rollouts": 1,
    "steps": 4,
    "evaluate_every": 4,
    "batch_size": "{2d: 4, 3d: 4}",
}
UNLEASHED, ACT = "aloha-unleashed+clamp-small", "act+clamp-small"
OF = {
    UNLEASHED: ("policy.size=small", "policy.sampler=ddim-10", "policy.chunk=20", "policy.execute=20"),
    ACT: ("policy.size=small", "policy.chunk=20", "policy.ensemble=-1", "policy.execute=20"),
}


def settings(head: str | None, *said: str, task: str = "touch-two", cameras: tuple[str, ...] = CAMERAS) -> Settings:
    numbers = [f"protocol.{name}={value}" for name, value in SHORT.items()]
    found = load_settings("metaworld-15", "quick", head, [*numbers, "runtime.workers=1", *said])
    seen = {"cameras": list(cameras), "height": 32, "width": 48, "render": "fast"}
    rules = dataclasses.replace(RULES, frame_every=8)
    suite = Suite("two-arms", "two arms", ENV, "none", {"all": (task,)}, seen, rules=rules)
    return dataclasses.replace(found, suite=suite)


def cell_of(method: str, encoder: Path | str | None, *said: str, **changes: Any) -> Cell:
    names, head = place_policy(None, [method], None)
    assert names is not None
    (cell,) = make_cells(settings(head, *OF[method], *said, **changes), None, names, [0], str(encoder))
    return cell


def save_encoder(path: Path, actions: int = 14, kind: type[CLAMP] = CLAMPSmall) -> Path:
    """As `bench pretrain` leaves one, without a card."""
    views = (5, 224, 224)
    fields = {
        "views": FieldSpec("views", (*views, 4), "float32", "m"),
        "views_valid": FieldSpec("views_valid", views, "bool", ""),
        "past_actions": FieldSpec("past_actions", (50, actions), "float32", "rad"),
    }
    torch.manual_seed(3)
    torch.save({"representation": kind(fields).state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Paths]:
    """Weights of an encoder, of a policy that learnt another task, and where demonstrations are."""
    register_baselines()
    folder = tmp_path_factory.mktemp("beside")
    paths = Paths(folder / "runs", folder / "data")
    job = plan_policy_pretraining(
        settings(None, *OF[UNLEASHED], task="touch-again"), None, "aloha-unleashed", 0, None, "learnt"
    )
    pretrain_policy(job, paths, "test")
    return save_encoder(folder / "encoder.pt"), job.weights(paths.out), paths


@pytest.fixture(scope="module")
def made(before: tuple[Path, Path, Paths]) -> tuple[Cell, Record]:
    encoder, policy, paths = before
    cell = cell_of(UNLEASHED, encoder, f"policy.weights={policy}")
    return cell, run_cell(cell, paths, "test")[0]


@pytest.mark.slow
def test_its_record_names_both_weights(before: tuple[Path, Path, Paths], made: tuple[Cell, Record]) -> None:
    encoder, policy, _ = before
    cell, record = made
    assert record.method == "clamp-small+weights=encoder"
    assert record.head == ("aloha-unleashed-beside+chunk=20,execute=20,sampler=ddim-10,size=small,weights=learnt")
    assert record.identity["method"]["weights"] == [sha256(encoder)]
    assert record.identity["head"]["policy"]["weights"] == [sha256(policy)]
    assert record.weights["files"] == {"encoder.pt": sha256(encoder)}
    own = record.weights["policy"]
    assert own["files"] == {"learnt.pt": sha256(policy)} and own["pretraining"]["variant"] == "policy"
    assert record.frozen["by_card"] and record.frozen["unchanged"] and record.frozen["before"]
    assert cell.request.fields == ("views", "views_valid", "rgb", "proprio") and cell.past_actions == 50
    assert not list(contradictions(record)) and not record.errors
    forged = {**record.weights, "policy": {**own, "files": {"learnt.pt": "0" * 64}}}
    assert "policy's weight files" in " ".join(contradictions(dataclasses.replace(record, weights=forged)))
    nothing = {key: value for key, value in record.weights.items() if key != "policy"}
    assert "began with nothing" in " ".join(contradictions(dataclasses.replace(record, weights=nothing)))


@pytest.mark.slow
def test_tokens_are_encoded_once_and_views_are_not_kept(
    before: tuple[Path, Path, Paths], made: tuple[Cell, Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One entry of tokens and one of images, which another policy over the same encoder takes as they are."""
    _, _, paths = before
    kept = {file.name for file in paths.data.rglob("*.npy")}
    assert {"feature.npy", "rgb.npy"} <= kept and "views.npy" not in kept
    (feature,) = paths.data.rglob("feature.npy")
    assert np.load(feature, mmap_mode="r").shape[1:] == (5 * 7 * 7 + 50, 128)
    monkeypatch.setattr(FeatureCache, "_encode", lambda *_: pytest.fail("encoded again"))
    record, _ = run_cell(cell_of(ACT, before[0], "policy.weights=random"), paths, "test")
    assert record.head == "act-beside+chunk=20,ensemble=-1.0,execute=20,size=small,weights=random"
    assert record.weights["policy"] == {"files": {}, "untrained": True} and not list(contradictions(record))


@pytest.mark.slow
def test_an_encoder_that_moves_fails_the_cell(
    before: tuple[Path, Path, Paths], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Trainer.advance

    def moving(trainer: Trainer, samples: Any) -> int:
        assert trainer.policy.representation is not None
        trainer.policy.representation.images.norm.bias.data += 1e-3  # type: ignore[union-attr, operator]
        return real(trainer, samples)

    monkeypatch.setattr(Trainer, "advance", moving)
    cell = cell_of(UNLEASHED, before[0], "policy.weights=none")
    with pytest.raises(RuntimeError, match=r"clamp-small\+weights=encoder is frozen by its card, but training changed"):
        run_cell(cell, Paths(tmp_path / "runs", before[2].data), "test")


@pytest.mark.slow
def test_unfrozen_cropped_and_with_a_pretrained_decoder(before: tuple[Path, Path, Paths], tmp_path: Path) -> None:
    """Rows of CLAMP's Tables III and IV, all at once: what is trained moves, views are read as they are."""
    _, policy, paths = before
    told = ("method.frozen=false", "policy.crop=random", "policy.begin=decoder")
    cell = cell_of(UNLEASHED, "random", f"policy.weights={policy}", *told)
    assert cell.policy_weights.files == (policy,) and cell.card.training == "end-to-end"
    record, _ = run_cell(cell, Paths(tmp_path / "runs", paths.data), "test")
    assert record.method == "clamp-small+frozen=false+weights=random" and not record.frozen["by_card"]
    assert not record.frozen["unchanged"] and not list(contradictions(record))
    assert "begin=decoder" in record.head and row_of(record) is None
    with pytest.raises(
        ConfigError, match=r"policy.begin=decoder.* takes a part of a pre-trained policy: give policy.we"
    ):
        cell_of(UNLEASHED, "random", "policy.weights=none", "policy.begin=decoder")


@pytest.mark.slow
def test_exported_it_acts_and_the_audit_builds_its_cell_again(
    before: tuple[Path, Path, Paths], made: tuple[Cell, Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, policy, paths = before
    cell, record = made
    bundle = load_policy(export_policy(record, cell, paths, tmp_path / "bundle"))  # which tries that both act alike
    assert str(policy) not in (tmp_path / "bundle" / "bundle.json").read_text(), "where it lies here"
    assert bundle.facts["weights"] == {"encoder.pt": sha256(encoder), "learnt.pt": sha256(policy)}
    monkeypatch.setattr("benchmark.experiment.cell_of_record.choices", lambda kind: [base_of(getattr(record, kind))])
    monkeypatch.setattr("benchmark.experiment.cell_of_record.load_settings", lambda *_: cell.settings)
    where = Where(weights=str(encoder), policy_weights=str(policy))
    assert cell_of_record(record, where).identity() == cell.identity()
    with pytest.raises(Exception, match="its policy began with learnt.pt: give the file with --policy-weights"):
        cell_of_record(record, dataclasses.replace(where, policy_weights=None))


@pytest.mark.slow
def test_what_does_not_fit_is_one_line(before: tuple[Path, Path, Paths], tmp_path: Path) -> None:
    encoder, policy, paths = before
    told = f"policy.weights={policy}"

    def refused(error: type[Exception], said: str, *given: Any, method: str = UNLEASHED, **changes: Any) -> None:
        with pytest.raises(error, match=said) as found:
            run_cell(cell_of(method, *given, **changes), Paths(tmp_path / "runs", paths.data), "test")
        assert "\n" not in str(found.value)

    refused(ConfigError, "told how it begins: policy.weights=FILE.* or --encoders-only", encoder)
    refused(ConfigError, "weights=a/none.pt: a file of this name", encoder, "policy.weights=a/none.pt")
    refused(WeightsMissing, "policy.weights=gone.pt: no such file", encoder, "policy.weights=gone.pt")
    refused(
        ConfigError, "learnt.pt was pre-trained on demonstrations of touch-again", encoder, told, task="touch-again"
    )
    refused(BadWeights, "a policy with 2 cameras, and this suite has 1", encoder, told, cameras=CAMERAS[:1])
    refused(BadWeights, "does not fit", encoder, told, method=ACT)
    narrow = save_encoder(tmp_path / "narrow.pt", actions=4)
    refused(BadWeights, "actions of 4 numbers, and this robot's have 14", narrow, told)
    torch.save(
        {
            "representation": {
                "images.patch_embed.proj.weight": torch.zeros(768, 4, 16, 16),
                "actions.embed.weight": torch.zeros(768, 14),
            }
        },
        tmp_path / "paper.pt",
    )
    refused(BadWeights, "encoders of width 768 .* clamp-small has width 128", tmp_path / "paper.pt", told)
    with pytest.raises(WeightsMissing, match="clamp-small needs weights and nobody has published any"):
        make_cells(settings("aloha-unleashed-beside", *OF[UNLEASHED], told), None, ["clamp-small"], [0])
    with pytest.raises(ConfigError, match="its weights are given as --weights, not policy.weights"):
        make_cells(settings(None, told), None, ["aloha-unleashed"], [0])


def test_how_it_is_said() -> None:
    register_baselines()
    assert place_policy(None, ["aloha-unleashed+clamp"], None) == (["clamp"], "aloha-unleashed-beside")
    assert place_policy(None, ["act+clamp", "act+clip"], None) == (["clamp", "clip"], "act-beside")
    for methods, head, said in (
        (["act+clamp", "aloha-unleashed+clamp"], None, "one policy at a time"),
        (["act+clamp", "clamp"], None, "one policy at a time"),
        (["act+clamp"], "mlp", "brings its policy along: leave mlp out"),
        (["vla-backbone+clamp"], None, "vla-backbone stands beside no method's tokens"),
        (["clamp+act"], None, "is a representation, not a policy"),
    ):
        with pytest.raises((ConfigError, TypeError), match=said):
            place_policy(None, methods, head)
    assert say_encoders_only(True, []) == ["policy.weights=none"] and say_encoders_only(False, ["policy.x=1"]) == []
    with pytest.raises(ConfigError, match="leave policy.weights=a.pt out"):
        say_encoders_only(True, ["policy.weights=a.pt"])


def test_a_jobs_weights_are_named_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.pt").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    assert _absolute_weights("policy.weights=a.pt") == f"policy.weights={tmp_path / 'a.pt'}"
    assert _absolute_weights("policy.weights=none") == "policy.weights=none"
