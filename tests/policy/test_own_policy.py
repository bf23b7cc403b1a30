"""A policy of somebody's own from demonstrations to record, audit and bundle; killed and resumed to the same bits."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import repbench
from benchmark.data.samples import Samples
from benchmark.experiment import work_folder
from benchmark.experiment.cell import Cell
from benchmark.experiment.cell_of_record import Where, cell_of
from benchmark.experiment.make_cells import make_cells
from benchmark.experiment.policy_bundle import export_policy, load_policy
from benchmark.experiment.probe import probe
from benchmark.experiment.run_cell import run_cell
from benchmark.launch.cell_spec import CellSpec, specs_of
from benchmark.policy.act import act
from benchmark.policy.ensemble import ensembled, whole_actions
from benchmark.policy.episode_memory import Memory
from benchmark.records.actions import read_actions, retest_actions
from benchmark.records.consistency import contradictions
from benchmark.records.paths import Paths
from benchmark.records.record import Record
from benchmark.settings.instructions import Language
from benchmark.settings.load import load_settings
from benchmark.settings.settings import Settings
from benchmark.system.errors import ConfigError, OtherSettings
from benchmark.training.trainer import Trainer
from envs.action_parts import ActionPart
from envs.errors import SpecMismatch
from envs.spec import ActionSpec, ObservationRequest
from methods.errors import BadMethod
from methods.policy import Window
from tests.conftest import TOY
from tests.experiment.test_probe import CARD, ENCODE, FROZEN
from tests.experiment.test_probe import method as own_method
from tests.settings.test_user_files import PROTOCOL, SUITE
from tests.test_cli import here
from tests.toy_env import Toy

pytestmark = pytest.mark.slow

FILE = Path(__file__).parent / "toy_policy.py"
PLANNER, OVER = f"{FILE}:Planner", f"{FILE}:OverFeatures"
CPU = torch.device("cpu")
REPLAYED = "replayed from its training's first epoch and checkpoint"


def in_steps(settings: Settings, **changes: Any) -> Settings:
    """Training by steps: four evaluations, 12 steps apart."""
    numbers = {"name": "tiny", "steps": 48, "evaluate_every": 12, **changes}
    return dataclasses.replace(settings, protocol=dataclasses.replace(settings.protocol, **numbers))


def cell_of_planner(settings: Settings, policy: str = PLANNER) -> Cell:
    (cell,) = make_cells(dataclasses.replace(settings, head_asked=False), ["near"], [policy], [0])
    return cell


def over(settings: Settings, method: str = "state", **options: Any) -> Cell:
    made = load_settings("metaworld-15", "quick", OVER, [f"policy.{k}={v}" for k, v in options.items()])
    (cell,) = make_cells(dataclasses.replace(settings, head=made.head), ["near"], [method], [0])
    return cell


@pytest.fixture(scope="module")
def made(toy_settings_once: Settings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Cell, Paths, Record]:
    folder = tmp_path_factory.mktemp("own")
    cell = cell_of_planner(in_steps(toy_settings_once))
    paths = Paths(folder / "runs", folder / "data")
    return cell, paths, run_cell(cell, paths, "test")[0]


def test_its_record_says_what_it_is_and_how_it_was_trained(made: tuple[Cell, Paths, Record]) -> None:
    cell, paths, record = made
    assert (record.method, record.head) == ("toy-planner", "whole")
    assert record.identity["head"] == {
        "name": "whole",
        "chunk": 4,
        "lead": 0,
        "execute": 1,
        "obs_steps": 1,
        "pad_after": -1,
        "ensemble": 0.01,
    }
    assert record.identity["method"]["class"] == "Planner" and len(record.identity["method"]["source"]) == 64
    assert record.identity["protocol"]["steps"] == 48
    assert record.training["optimizer_steps"] == 48 and record.training["evaluated_at_steps"] == [12, 24, 36, 48]
    assert [e.epoch for e in record.evaluations] == [1, 2, 3, 4]
    terms = record.training["loss_terms"]
    assert set(terms) == {"l1", "kl"} and len(terms["l1"]) == 4
    whole = np.add(terms["l1"], terms["kl"])
    np.testing.assert_allclose(whole, record.training["train_loss"], rtol=1e-5)
    assert record.training["train_loss"][-1] < record.training["train_loss"][0]
    assert not list(contradictions(record))
    forged = dataclasses.replace(record, training={**record.training, "evaluated_at_steps": [1, 2, 3, 4]})
    assert any("every 12 of 48 steps" in said for said in contradictions(forged))
    assert (cell.record(paths).with_suffix(".source") / "toy_policy.py").exists()
    assert run_cell(cell, paths, "test") == (record, False)


class Killed(BaseException):
    pass


def test_killed_between_two_evaluations_it_ends_with_the_same_weights(
    made: tuple[Cell, Paths, Record], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell, _, record = made
    monkeypatch.setattr(work_folder, "SAVE_EVERY", 0.0)
    monkeypatch.setattr("benchmark.training.trainer.PART", 5)
    real: Callable[..., int] = Trainer.advance

    def dying(trainer: Trainer, samples: Any) -> int:
        if trainer.steps in (17, 24):
            raise Killed
        return real(trainer, samples)

    paths = Paths(tmp_path / "runs", tmp_path / "data")
    monkeypatch.setattr(Trainer, "advance", dying)
    with pytest.raises(Killed):
        run_cell(cell, paths, "test")
    left = sorted(file.name for file in cell.work(paths).glob("*.pt"))
    assert left == ["epoch-0001.pt", "resume-0001-000000017.pt"]
    monkeypatch.setattr(Trainer, "advance", real)
    resumed, _ = run_cell(cell, paths, "test")
    assert resumed.evaluations == record.evaluations, "hashes of weights and actions, losses and outcomes"
    assert resumed.retest.checkpoint == record.retest.checkpoint
    assert resumed.training == record.training


def test_no_number_depends_on_workers_or_on_what_else_is_in_the_batch(
    made: tuple[Cell, Paths, Record], tmp_path: Path
) -> None:
    cell, _, record = made
    settings = dataclasses.replace(cell.settings, runtime=dataclasses.replace(cell.settings.runtime, workers=1))
    again, _ = run_cell(cell_of_planner(settings), Paths(tmp_path / "r", tmp_path / "d"), "test")
    assert again.evaluations == record.evaluations


def test_an_exported_one_acts_to_the_bit(made: tuple[Cell, Paths, Record], tmp_path: Path) -> None:
    cell, paths, record = made
    bundle = export_policy(record, cell, paths, tmp_path / "bundle")
    with pytest.raises(ValueError, match="somebody's file"):
        load_policy(bundle)
    policy = load_policy(bundle, run_its_code=True)
    kept = read_actions(retest_actions(cell.record(paths)), record.horizon)
    seed, _, steps, _ = record.retest.episodes[0]
    env = Toy("near", ObservationRequest(fields=tuple(policy.observation)))
    observation = env.reset(seed)
    policy.reset(seed=seed)
    for step in range(steps):
        sent = policy.act(observation)
        assert np.array_equal(sent, kept[str(seed)][step])
        observation = env.step(sent).observation


def test_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path))
    for group, name, text in (("protocol", "short", PROTOCOL), ("suite", "mine", SUITE)):
        (tmp_path / group).mkdir()
        (tmp_path / group / f"{name}.yaml").write_text(text)
    (tmp_path / "own.py").write_text(FILE.read_text())
    what = ["--suite", "mine", "--protocol", "short"]
    code, out, err = here("run", *what, "--policy", "own.py:Planner", "--dry-run")
    assert code == 0 and "toy-planner/whole-s0" in out, err
    code, out, err = here("run", *what, "--policy", "own.py:Planner", "policy.ensemble=-1", "policy.kl=10")
    assert code == 0 and "toy-planner+kl=10/whole+ensemble=-1.0-s0.json" in out, err
    code, out, err = here("run", *what, "--method", "state", "--policy", "own.py:OverFeatures")
    assert code == 0 and "state/toy-over-features-s0.json" in out, err
    assert "toy-over-features" in here("table", "1", "--cells", "--suite", "mine", "--protocol", "short")[1]
    code, out, err = here("audit", "toy-over-features", "--method", "own.py:OverFeatures", "--simulator", TOY, "--json")
    assert code == 0 and REPLAYED in json.loads(out)["records"][0]["settings"], (out, err)
    code, out, err = here("audit", "toy-planner", "--method", "own.py:Planner", "--simulator", TOY, "--json")
    assert code == 0 and REPLAYED in json.loads(out)["records"][0]["settings"], (out, err)
    given = ("--method", "own.py:OverFeatures", "--simulator", TOY)
    code, out, err = here("export", "policy", "toy-over-features", "--to", "bundle", *given)
    assert code == 0, err
    action = load_policy("bundle", run_its_code=True).act(
        {"proprio": np.zeros(2, np.float32), "ground_truth": np.ones(4, np.float32)}
    )
    assert action.shape == (2,)
    shown = here("show", "own.py:Planner")[1]
    assert "(whole policy)" in shown and "policy.ensemble=0.01" in shown
    for words, said in (
        (["--policy", "own.py:Planner", "--method", "state"], "whole policy and takes no representation"),
        (["--policy", "own.py:OverFeatures"], "stands over a representation: name it with --method"),
        (["--policy", "own.py:Planner", "--head", "mlp"], "leave --head mlp out"),
        (["--method", "own.py:OverFeatures"], "give it as --policy"),
        (["--policy", "own.py:Planner", "policy.chunk=500"], "longer than an episode"),
        (["--policy", "own.py:Planner", "policy.chnk=5"], "unknown option 'chnk' of toy-planner"),
        (["--policy", "own.py:Planner", "policy.execute=2"], "looks again at every step"),
        (["--method", "state", "policy.chunk=5"], "policy.chunk changes nothing without --policy"),
        (["--policy", "own.py:Nothing"], "Nothing"),
    ):
        code, _, err = here("run", *what, *words)
        assert code == 2 and said in err and len(err.strip().splitlines()) == 1, (words, err)


def test_an_edited_file_is_noticed(toy_settings: Settings, tmp_path: Path) -> None:
    """The number of the old text never stands under the new one: whole, and over a representation."""
    paths = Paths(tmp_path / "runs", tmp_path / "data")
    few = in_steps(toy_settings, steps=4, evaluate_every=4, rollouts=1, retest_rollouts=1)
    for name, place in (("a", lambda p: cell_of_planner(few, f"{p}:Planner")), ("b", None)):
        folders = []
        for number, text in enumerate((FILE.read_text(), FILE.read_text().replace("0.5 * (mean", "0.7 * (mean"))):
            folder = tmp_path / f"{name}{number}"
            folder.mkdir()
            (folder / "own.py").write_text(text)
            folders.append(folder / "own.py")
        if place is None:

            def place(file: Path) -> Cell:
                head = load_settings("metaworld-15", "quick", f"{file}:OverFeatures").head
                return make_cells(dataclasses.replace(few, head=head), ["near"], ["state"], [0])[0]

        run_cell(place(folders[0]), paths, "test")
        with pytest.raises(OtherSettings, match=r"own.py changed since .* was made"):
            run_cell(place(folders[1]), paths, "test")


def test_over_a_representation_it_learns(toy_settings: Settings, tmp_path: Path) -> None:
    cell = over(toy_settings)
    assert cell.request.fields == ("ground_truth", "proprio")
    record, _ = run_cell(cell, Paths(tmp_path, tmp_path / "data"), "test")
    assert record.training["train_loss"][-1] < record.training["train_loss"][0]
    assert "loss_terms" not in record.training, "a single term is the loss"
    assert record.identity["head"]["policy"]["name"] == "toy-over-features"
    assert not list(contradictions(record))
    trained = over(toy_settings, "dp3")
    assert set(trained.request.fields) == {"points", "points_valid", "ground_truth", "proprio"}
    record, _ = run_cell(trained, Paths(tmp_path, tmp_path / "data"), "test")
    assert record.training["parameters_trained"] == record.training["parameters_total"]


def broken(tmp_path: Path, old: str, new: str) -> str:
    text = FILE.read_text()
    assert old in text
    file = tmp_path / "broken.py"
    file.write_text(text.replace(old, new))
    return f"{file}:Planner"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("self.chunk * self.action_dim\n", "self.chunk * 7\n", "losses raised|plan"),
        (
            "new_zeros(rows, 2)) * self.spread",
            "new_zeros(rows, 2))[..., :1]",
            r"plan gives \(2, 4, 1\) for 2 rows, \(2, 4, 2\) = \(B, chunk, A\) is expected: .* 2 numbers, dx, dy",
        ),
        ('"kl": self.kl * divergence.mean()', '"kl": divergence.mean() / 0 * 0', "the term kl of losses is nan"),
        ('return {"l1"', 'return {} and {"l1"', "gives no term"),
        ('"kl": self.kl * divergence.mean()', '"kl": divergence', r"the term kl of Planner is \(2,\), a scalar"),
        (
            "        return self._chunk(inputs, inputs",
            "        return torch.nan * self._chunk(inputs, inputs",
            "plan gives NaN",
        ),
        (
            'inputs["proprio"].new_zeros(rows, 2)) * self.spread',
            "torch.randn(rows, 2)) * self.spread",
            "two chunks for one observation and one seed",
        ),
        ("ParameterGroup(list(self.network", "ParameterGroup(list(self.network[:1]", "stands in no parameter group"),
        ("    def plan(", "    def plann(", "it has no plan"),
        ("super().__init__(specs, representation)", "raise RuntimeError('no')", r"raised RuntimeError: no"),
    ],
)
def test_what_breaks_the_contract_is_one_line_before_any_work(
    toy_settings: Settings, tmp_path: Path, old: str, new: str, said: str
) -> None:
    cell = cell_of_planner(toy_settings, broken(tmp_path, old, new))
    with pytest.raises(BadMethod, match=said):
        probe(cell)


def test_a_term_that_diverges_is_named(toy_settings: Settings, tmp_path: Path) -> None:
    target = broken(tmp_path, '"kl": self.kl * divergence.mean()', '"kl": divergence.mean() / (self.training_ok() - 1)')
    text = Path(target.partition(":")[0])
    text.write_text(
        text.read_text().replace(
            "    def fit(",
            "    calls = 0\n\n    def training_ok(self):\n        "
            "self.calls += 1\n        return 1 if self.calls > 3 else 2\n\n    def fit(",
        )
    )
    with pytest.raises(ArithmeticError, match=r"\(kl is (nan|inf)\) in epoch 1"):
        run_cell(cell_of_planner(in_steps(toy_settings), target), Paths(tmp_path, tmp_path / "data"), "test")


def test_initial_weights_of_a_whole_policy(made: tuple[Cell, Paths, Record], tmp_path: Path) -> None:
    """A bundle's tensors are where another training begins; what is loaded is named by its content."""
    cell, paths, record = made
    bundle = export_policy(record, cell, paths, tmp_path / "bundle")
    text = FILE.read_text().replace(
        'licence="MIT",\n        options',
        'licence="MIT",\n        weights=(WeightFile("x", None, "MIT"),),\n        options',
    )
    (tmp_path / "with.py").write_text(text.replace("import MethodOption", "import MethodOption, WeightFile"))
    target, weights = f"{tmp_path / 'with.py'}:Planner", str(bundle / "policy.safetensors")
    (began,) = make_cells(cell.settings, ["near"], [target], [0], weights)
    assert began.identity()["method"]["weights"] == list(began.weights.hashes().values())
    policy = began.build_policy(None)
    trained = load_policy(bundle, run_its_code=True).policy.state_dict()
    assert all(torch.equal(value, trained[name]) for name, value in policy.state_dict().items())
    (untrained,) = make_cells(cell.settings, ["near"], [target], [0], "random")
    assert untrained.method_name == "toy-planner+weights=random"
    torch.save({"x": torch.zeros(1)}, tmp_path / "other.pt")
    (other,) = make_cells(cell.settings, ["near"], [target], [0], str(tmp_path / "other.pt"))
    with pytest.raises(ValueError, match="does not fit"):
        probe(other)


def test_the_mean_of_chunks_is_acts() -> None:
    spec = ActionSpec(("x", "y"), (-1, -1), (1, 1), "")
    memory, chunks = Memory(0), np.random.default_rng(0).normal(size=(6, 3, 2)).astype(np.float32)
    for step in range(6):
        sent = ensembled(memory, chunks[step], 0.3, spec)
        about = [(made, step - made) for made in range(6) if 0 <= step - made < 3]
        weights = np.exp(-0.3 * np.arange(len(about)))
        expected = sum(w * chunks[m][i].astype(float) for w, (m, i) in zip(weights / weights.sum(), about, strict=True))
        np.testing.assert_allclose(sent, expected, rtol=1e-6)
        memory.actions.append(sent)
    assert len(memory.chunks) == 3, "what is past is forgotten"


def test_rotations_are_averaged_and_sent_as_rotations() -> None:
    parts = (ActionPart("x", 0, 1, "position"), ActionPart("q", 1, 5, "quaternion"))
    spec = ActionSpec(tuple("xabcd"), (-1,) * 5, (1,) * 5, "", parts)
    memory, q = Memory(0), np.array([[0.5, 0.6, 0, 0, 0.8]] * 2, np.float32)
    memory.actions.append(q[0])
    memory.chunks.append((0, q * [1, -1, -1, -1, -1]))
    sent = whole_actions(ensembled(memory, q, 0.0, spec)[None], spec)[0]
    np.testing.assert_allclose(sent, q[0], atol=1e-6), "one side of the sphere"
    np.testing.assert_allclose(np.linalg.norm(whole_actions(q * 7, spec)[:, 1:], axis=1), 1, rtol=1e-6)
    with pytest.raises(ArithmeticError, match="quaternion a, b, c, d is zero"):
        whole_actions(q * 0, spec)


def test_a_shipped_head_takes_temporal_ensembling_and_says_so(toy_settings: Settings) -> None:
    small = ["head.width=16", "head.heads=2", "head.encoder_layers=1", "head.decoder_layers=1", "head.chunk=4"]
    made = load_settings("metaworld-15", "quick", "diffusion", [*small, "head.execute=1", "head.ensemble=0.01"])
    assert made.head.identity()["ensemble"] == 0.01 and "ensemble=0.01" in made.head.name
    assert "ensemble" not in load_settings("metaworld-15", "quick", "diffusion").head.identity()
    with pytest.raises(ConfigError, match="looks again at every step"):
        load_settings("metaworld-15", "quick", "diffusion", ["head.ensemble=0.01"])
    (cell,) = make_cells(dataclasses.replace(toy_settings, head=made.head), ["near"], ["state"], [0])
    policy = cell.build_policy(cell.build(cell.specs())).eval()
    rows = {"ground_truth": np.random.rand(3, 4).astype(np.float32), "proprio": np.random.rand(3, 2).astype(np.float32)}
    together, alone = [Memory(seed) for seed in range(3)], Memory(1)
    for _ in range(3):
        many = act(policy, rows, together, CPU, False)
        one = act(policy, {name: value[1:2] for name, value in rows.items()}, [alone], CPU, False)
        assert np.array_equal(many[1], one[0]), "to the last bit"
        for memory, action in zip(together, many, strict=True):
            memory.actions.append(action)
        alone.actions.append(one[0])


def test_the_audit_builds_its_cell_again(made: tuple[Cell, Paths, Record], monkeypatch: pytest.MonkeyPatch) -> None:
    cell, _, record = made
    monkeypatch.setattr("benchmark.experiment.cell_of_record.choices", lambda kind: [getattr(record, kind)])
    monkeypatch.setattr(
        "benchmark.experiment.cell_of_record.load_settings",
        lambda *_: dataclasses.replace(cell.settings, head=load_settings("metaworld-15", "quick", "mlp").head),
    )
    again = cell_of(record, Where(methods=(PLANNER,), simulators=(TOY,)))
    assert again.identity() == cell.identity() and again.settings.head == cell.settings.head


def test_it_travels_as_the_others_do(toy_settings: Settings, tmp_path: Path) -> None:
    """In words, as a sweep's jobs get it: by absolute paths, whole and over a representation."""
    suite = tmp_path / "mine.yaml"
    suite.write_text(SUITE)
    for methods, head, label in (
        ([PLANNER], None, "toy-planner/whole+chunk=6-s0"),
        (["state"], OVER, "state/toy-over-features+ensemble=0.5-s0"),
    ):
        option = "policy.chunk=6" if head is None else "policy.ensemble=0.5"
        ((spec, cell),) = specs_of(str(suite), "quick", head, [option], None, methods, [0], None)
        assert cell.label.endswith(label)
        assert CellSpec.from_dict(json.loads(json.dumps(spec.as_dict()))).cell().identity() == cell.identity()


def test_it_hears_instructions_and_looks_back(toy_settings: Settings, tmp_path: Path) -> None:
    """A joint suite and two observations: inputs are (B, obs_steps, ...), the instruction among them."""
    file = tmp_path / "hears.py"
    changes = {
        'specs.observation["proprio"].shape[0]\n': 'specs.observation["proprio"].shape[0] + specs.language\n',
        'seen = torch.cat([inputs["ground_truth"], inputs["proprio"], latent], dim=1)': (
            'now, before = inputs["ground_truth"][:, -1], inputs["proprio"][:, -2]\n'
            '        seen = torch.cat([now, before, inputs["language"][:, -1], latent], dim=1)'
        ),
    }
    text = FILE.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    file.write_text(text.replace("chunk=4,", "chunk=4,\n        obs_steps=2,"))
    texts = {"near": ("go near", "come here"), "far": ("go far", "away")}
    suite = dataclasses.replace(toy_settings.suite, joint=True, language=Language("hash", 1, texts))
    settings = dataclasses.replace(in_steps(toy_settings, steps=8, evaluate_every=4), suite=suite, head_asked=False)
    (cell,) = make_cells(settings, None, [f"{file}:Planner"], [0])
    record, _ = run_cell(cell, Paths(tmp_path / "runs", tmp_path / "data"), "test")
    assert record.task == "near+far" and not list(contradictions(record)) and not record.errors


def test_the_python_call_takes_a_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.policy.toy_policy import OverFeatures, Planner

    for group, name, text in (("protocol", "short", PROTOCOL), ("suite", "mine", SUITE)):
        (tmp_path / group).mkdir()
        (tmp_path / group / f"{name}.yaml").write_text(text)
    monkeypatch.setenv("BENCH_CONFIG", str(tmp_path))
    told: dict[str, Any] = {"suite": "mine", "protocol": "short", "out": tmp_path / "runs"}
    frame = repbench.run(**told, policy=Planner, overrides="policy.kl=10")
    assert set(frame["method"]) == {"toy-planner+kl=10"} and set(frame["head"]) == {"whole"}
    frame = repbench.run(**told, policy=OverFeatures, method="proprio-only")
    assert set(frame["head"]) == {"toy-over-features"}
    with pytest.raises(ConfigError, match="whole policy and takes no representation"):
        repbench.run(**told, policy=Planner, method="state")


def test_numbers_of_clamps_protocol_can_be_said() -> None:
    numbers = ["steps=1000000", "evaluate_every=40000", "rollouts=50", "retest_rollouts=150", "train_demos=4500"]
    protocol = load_settings("metaworld-15", "clar", None, [f"protocol.{one}" for one in numbers]).protocol
    assert len(protocol.evaluation_epochs) == 25 and protocol.unit == "steps" and protocol.length == 1_000_000
    assert "steps=1000000" in protocol.name
    with pytest.raises(ConfigError, match="evaluate_every=40000 is more than protocol.steps=1000"):
        load_settings("metaworld-15", "clar", None, ["protocol.steps=1000", "protocol.evaluate_every=40000"])


def test_masks_are_where_a_chunk_leaves_its_episode() -> None:
    samples = Samples({"proprio": torch.zeros(10, 1)}, torch.arange(10.0).unsqueeze(1), steps=5)
    _, actions, padded = samples.batch(torch.tensor([0, 3, 5, 9]), CPU, Window(chunk=4, lead=1))
    assert actions[..., 0].tolist() == [[0, 0, 1, 2], [2, 3, 4, 4], [5, 5, 6, 7], [8, 9, 9, 9]]
    assert padded.int().tolist() == [[1, 0, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 1, 1]]
    assert samples.batch(torch.tensor([0, 9]), CPU)[2].tolist() == [[False], [False]]


SETS = """
    def token_set(self, name, observations):
        if name != "grid":
            return super().token_set(name, observations)
        return self.network(observations["points"][:, :4])
"""


@pytest.mark.parametrize("card", [CARD, FROZEN], ids=["trained", "frozen"])
def test_over_several_token_sets_of_a_method_of_ones_own(toy_settings: Settings, tmp_path: Path, card: str) -> None:
    """Method and policy are files, each guarded and kept, and both travel."""
    method = own_method(tmp_path, card=card, body=ENCODE + SETS)
    text = FILE.read_text().replace(
        'name="toy-over-features",', 'name="two-sets",\n        token_sets=("pooled", "grid"),'
    )
    text = text.replace(
        'feature = self.token_sets(inputs)["pooled"]',
        'sets = self.token_sets(inputs)\n        feature = sets["pooled"] + sets["grid"].mean(1)',
    )
    (tmp_path / "sets.py").write_text(text)
    few = in_steps(toy_settings, steps=6, evaluate_every=3, rollouts=2, retest_rollouts=2)
    head = load_settings("metaworld-15", "quick", f"{tmp_path / 'sets.py'}:OverFeatures").head
    (cell,) = make_cells(dataclasses.replace(few, head=head), ["near"], [method], [0])
    paths = Paths(tmp_path / "runs", tmp_path / "data")
    record, _ = run_cell(cell, paths, "test")
    assert record.head == "two-sets" and record.frozen["unchanged"] == (card is FROZEN)
    kept = cell.record(paths).with_suffix(".source")
    assert {file.relative_to(kept).as_posix() for file in kept.rglob("*.py")} == {"mine.py", "policy/sets.py"}
    bundle = export_policy(record, cell, paths, tmp_path / "bundle")
    assert (bundle / "source" / "policy" / "sets.py").exists()
    with pytest.raises(ValueError, match="somebody's file"):
        load_policy(bundle)
    assert load_policy(bundle, run_its_code=True).policy.sets == ("pooled", "grid")
    with pytest.raises(SpecMismatch, match="proprio-only has no token set grid, which two-sets looks at"):
        make_cells(dataclasses.replace(few, head=head), ["near"], ["proprio-only"], [0])
