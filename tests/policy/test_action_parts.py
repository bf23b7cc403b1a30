"""Actions in parts: their losses, their scalings, and rotations that are rotations, from words to rollouts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.policy_bundle import export_policy, load_policy
from benchmark.experiment.run_cell import run_cell
from benchmark.policy.build import make_policy
from benchmark.records.consistency import contradictions
from benchmark.records.paths import Paths
from benchmark.records.record import Record
from benchmark.settings.load import load_head, load_settings
from benchmark.settings.settings import Settings
from benchmark.settings.suite import Suite
from benchmark.system.errors import ConfigError
from envs.action_parts import ActionPart, BadParts
from envs.spec import ActionSpec
from methods.action_loss import action_losses
from methods.action_terms import BadTerms, loss_terms, scalings
from methods.controls import ProprioOnly
from tests.policy.pose_env import Pose

POSE = f"{Path(__file__).parent / 'pose_env.py'}:Pose"
SPEC = Pose.action_spec
LIFT3D = "10*mse(position) + 0.1*cosine(quaternion) + 0.01*mse(gripper)"


def test_the_terms_are_what_the_words_say() -> None:
    torch.manual_seed(0)
    guess, target = torch.randn(5, 8), torch.randn(5, 8)
    terms = action_losses(loss_terms(LIFT3D, SPEC), guess, target, SPEC)
    assert list(terms) == ["position", "rotation", "gripper"], "by name, or by kind"
    cos = functional.normalize(guess[:, 3:7], dim=1).mul(functional.normalize(target[:, 3:7], dim=1)).sum(1)
    torch.testing.assert_close(terms["position"], 10 * (guess[:, :3] - target[:, :3]).square().mean())
    torch.testing.assert_close(terms["rotation"], 0.1 * (1 - cos.abs()).mean())
    torch.testing.assert_close(terms["gripper"], 0.01 * (guess[:, 7] - target[:, 7]).square().mean())


@pytest.mark.parametrize("words", ["", LIFT3D, "mse(position, rotation, gripper)", "l1(delta) + l1(rotation, gripper)"])
def test_a_rotations_sign_says_nothing(words: str) -> None:
    torch.manual_seed(0)
    guess, target = torch.randn(6, 8), torch.randn(6, 8)
    other = target.clone()
    other[::2, 3:7] *= -1
    terms = loss_terms(words, SPEC)
    one, two = (action_losses(terms, guess, aim, SPEC) for aim in (target, other))
    assert all(torch.equal(one[name], two[name]) for name in one) and len(one) == len(terms or [0])


def test_an_action_of_which_nothing_is_said_has_one_part_and_todays_loss() -> None:
    plain = ActionSpec(("a", "b"), (-1, -1), (1, 1), "")
    assert [(part.name, part.kind, part.slice) for part in plain.all_parts] == [("action", "other", slice(0, 2))]
    guess, target = torch.randn(7, 2), torch.randn(7, 2)
    assert torch.equal(action_losses((), guess, target, plain)["action"], functional.mse_loss(guess, target))
    head = make_policy(load_head("mlp"), ProprioOnly({}), 3, plain).head
    assert head.actions is None and not any("actions" in name for name in head.state_dict()), "no key moves"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("10*mse(position) + mse(rotation)", "gripper has no term"),
        ("mse(wrist)", "no part 'wrist'"),
        ("cosine(position, rotation) + mse(gripper)", "cosine is of quaternions"),
        ("rmse(position)", "rmse is none of mse, l1, cosine"),
        ("mse position", "write mse"),
        ("0*mse(position)", "no number above 0"),
        ("mse(position) mse(rotation, gripper)", "joined by +"),
        ("mse(position, delta, rotation, gripper)", "twice"),
    ],
)
def test_words_that_say_nothing_are_refused(words: str, said: str) -> None:
    with pytest.raises(BadTerms, match=said.replace("+", r"\+")):
        loss_terms(words, SPEC)


def test_rotations_are_never_scaled() -> None:
    assert scalings("", SPEC, "range") == {"position": "range", "rotation": "none", "gripper": "range"}
    assert scalings("standardize(delta) + none(gripper)", SPEC, "range") == {
        "position": "standardize",
        "rotation": "none",
        "gripper": "none",
    }
    with pytest.raises(BadTerms, match="rotation is a quaternion, whose entries are never scaled"):
        scalings("range(rotation)", SPEC, "none")
    with pytest.raises(BadTerms, match="a scaling has no weight"):
        scalings("2*range(gripper)", SPEC, "none")


@pytest.mark.parametrize("head", ["mlp", "diffusion"])
def test_parts_are_scaled_as_the_words_say_and_back(head: str) -> None:
    torch.manual_seed(0)
    words = "range(position) + standardize(gripper)"
    found = make_policy(load_head(head), ProprioOnly({}), 3, SPEC, loss="", scaling=words).head
    actions = torch.randn(400, 8) * 3 + 5
    found.fit(actions, torch.randn(400, 3))
    assert found.actions is not None
    out = found.actions(actions)
    assert out[:, :3].amin(0) == pytest.approx([-1] * 3, abs=1e-5) and out[:, :3].amax(0) == pytest.approx([1] * 3)
    assert torch.equal(out[:, 3:7], actions[:, 3:7])
    assert (float(out[:, 7].mean()), float(out[:, 7].std())) == pytest.approx((0, 1), abs=1e-2)
    torch.testing.assert_close(found.actions.undo(out), actions)


@pytest.mark.parametrize(
    "parts",
    [
        (ActionPart("a", 0, 1),),
        (ActionPart("a", 1, 2),),
        (ActionPart("a", 0, 1), ActionPart("a", 1, 2)),
        (ActionPart("a", 0, 2, "quaternion"),),
        (ActionPart("a", 0, 2, "wish"),),
        (ActionPart("a b", 0, 2),),
    ],
)
def test_parts_are_the_whole_action(parts: tuple[ActionPart, ...]) -> None:
    with pytest.raises(BadParts, match="part"):
        ActionSpec(("x", "y"), (-1, -1), (1, 1), "", parts)


def settings(toy_settings: Settings, head: str = "mlp", changes: tuple[str, ...] = (), **protocol: Any) -> Settings:
    made = load_settings("metaworld-15", "quick", head, list(changes))
    numbers = {
        "name": "posed",
        "train_demos": 60,
        "horizon": 12,
        "min_success_steps": 1,
        "epochs": 25,
        "evaluate_every": 25,
        "rollouts": 5,
        "retest_rollouts": 20,
        **protocol,
    }
    return dataclasses.replace(
        toy_settings,
        suite=Suite("poses", "poses", POSE, "none", {"all": ("near",)}),
        protocol=dataclasses.replace(toy_settings.protocol, **numbers),
        head=made.head,
    )


def record_of(made: Settings, folder: Path) -> Record:
    (cell,) = make_cells(made, ["near"], ["state"], [0])
    return run_cell(cell, Paths(folder, folder.parent / "data"), "test")[0]


@pytest.mark.slow
def test_where_the_loss_matters(toy_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The expert says a rotation now by q and now by -q, whose mean is none: a loss that takes them for two fails."""
    made = settings(toy_settings, action_loss=LIFT3D)
    good = record_of(made, tmp_path / "good")
    assert good.retest.tally.rate >= 0.8 and not good.errors, good.retest.tally
    assert set(good.training["loss_terms"]) == {"position", "rotation", "gripper"}
    assert good.identity["protocol"]["action_loss"] == LIFT3D and not list(contradictions(good))
    monkeypatch.setattr("methods.action_loss.nearer", lambda _guess, target, _action: target)
    bad = record_of(settings(toy_settings, name="two-signs"), tmp_path / "bad")
    assert bad.retest.tally.rate <= 0.3, bad.retest.tally
    (cell,) = make_cells(made, ["near"], ["state"], [0])
    bundle = export_policy(good, cell, Paths(tmp_path / "good", tmp_path / "data"), tmp_path / "bundle")
    assert load_policy(bundle).action == SPEC


def test_what_is_not_of_this_action_is_refused_before_any_work(toy_settings: Settings) -> None:
    with pytest.raises(BadTerms, match="the action has no part 'joint'"):
        make_cells(settings(toy_settings, action_loss="mse(joint)"), ["near"], ["state"], [0])
    with pytest.raises(ConfigError, match="head.prediction=sample"):
        make_cells(settings(toy_settings, "diffusion", action_loss=LIFT3D, horizon=20), ["near"], ["state"], [0])
    sample = settings(toy_settings, "diffusion", ("head.prediction=sample",), action_loss=LIFT3D, horizon=20)
    (cell,) = make_cells(sample, ["near"], ["state"], [0])
    terms = cell.build_policy(cell.build(cell.specs())).losses(
        {"feature": torch.rand(3, 10), "proprio": torch.rand(3, 4)}, torch.rand(3, 16, 8), torch.zeros(3, 16).bool()
    )
    assert set(terms) == {"position", "rotation", "gripper"}
