"""What DP3's own training does otherwise than the diffusion head: its windows, and its average of the weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmark.data.samples import Samples
from benchmark.policy.diffusion import DiffusionHead
from benchmark.records.label_check import misnamed
from benchmark.settings.load import load_settings
from benchmark.system.errors import ConfigError
from tests.policy.test_diffusion import CPU, config, data, trainer


def test_dp3s_windows_are_those_of_its_sampler() -> None:
    """Starts, observations and actions by the rule of its sampler.py: from -pad_before to steps - horizon + pad_after,
    what lies outside the episode repeats its ends.
    """
    steps, horizon, before, after, seen = 20, 16, 1, 7, 2
    windows = []
    for episode in range(2):
        for start in range(-before, steps - horizon + after + 1):
            inside = [min(max(t, 0), steps - 1) + steps * episode for t in range(start, start + horizon)]
            windows.append((inside[:seen], inside))
    numbers = torch.arange(2.0 * steps).unsqueeze(1)
    samples = Samples({"proprio": numbers}, numbers, steps)
    head = DiffusionHead(config("dp3", chunk=horizon, execute=8), 0, 1, 1)
    inputs, actions, _ = samples.batch(samples.rows(head), CPU, head)
    assert list(zip(inputs["proprio"][..., 0].tolist(), actions[..., 0].tolist(), strict=True)) == windows
    plain = DiffusionHead(config(), 0, 1, 1)
    assert torch.equal(samples.rows(plain), torch.arange(2 * steps)), "every frame, under the other head"
    with pytest.raises(ConfigError, match=r"head.pad_after leaves out the last 7 frames .* episodes have 7"):
        Samples({"proprio": numbers[:14]}, numbers[:14], 7).rows(head)


def test_frames_that_begin_no_window_are_never_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    one, rows = trainer(pad_after=2), list[int]()
    real = Samples.picked

    def watched(self: Samples, chosen: torch.Tensor, *rest: Any) -> Any:
        rows.extend(chosen.tolist())
        return real(self, chosen, *rest)

    monkeypatch.setattr(Samples, "picked", watched)
    one.train_epoch(data())
    left = one.policy.head.left_out
    assert left == 8 - 0 - 1 - 2
    assert sorted(rows) == [row for row in range(60) if row % 20 < 20 - left]
    assert one.steps == -(-len(rows) // 16)
    rows.clear()
    one.validate(data())
    assert len(rows) == 3 * (20 - left)


@pytest.mark.parametrize("after", [0, 1])
def test_the_average_follows_its_rule_from_its_first_step(after: int) -> None:
    """Power 3/4. DP3's ema_model.py asks for the decay of step n before it counts it: its third step is the first that
    averages; diffusers' second.
    """
    one = trainer(ema_after=after)
    name, parameter = next(iter(one.optimization.named.items()))  # type: ignore[attr-defined]
    expected = parameter.detach().clone()
    for step in range(6):
        with torch.no_grad():
            parameter.add_(step + 1.0)
        one.optimization.after_step()
        n = max(0, step - after)  # in the authors' words optimization_step - update_after_step - 1
        decay = 0.0 if n == 0 else 1 - (1 + n) ** -0.75
        expected = decay * expected + (1 - decay) * parameter.detach()
        with one.optimization.averaged():
            torch.testing.assert_close(parameter.detach(), expected)
    assert load_settings("metaworld-15", "clar", "dp3").head.ema_after == 1  # type: ignore[union-attr]
    assert name


def test_a_dp3_record_that_says_nothing_of_its_windows_had_every_frame() -> None:
    """The two settings are left out of names where they have their default, which is not what dp3's file says."""
    overrides = ["head.pad_after=-1", "head.ema_after=0"]
    settings = load_settings("metaworld-15", "clar", "dp3", overrides)
    now = {"protocol": settings.identity()["protocol"], "precision": "fp32", "head": settings.head.identity()}
    assert "pad_after" not in now["head"]
    assert misnamed("clar", settings.head.name, now) == ()
    assert misnamed("clar", "dp3", now) == (), "what it was called before dp3's file had them"
    other = {**now, "head": {**now["head"], "pad_after": 3}}
    assert "pad_after=3" in misnamed("clar", "dp3", other)[0]
