"""`bench list` and `bench show` as a person reads them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from baselines.facts import FILE, as_json, facts_named, shipped_facts
from benchmark.cli.main import app
from benchmark.settings.catalog import register_baselines
from benchmark.settings.catalog_text.comments import comments
from benchmark.settings.catalog_text.seen import SEEN
from benchmark.settings.load import CONF
from methods.registry import class_of, table

KINDS = ("suites", "methods", "policies", "tasks", "heads", "protocols", "data", "all")
SHOWN = (
    "clip",
    "dp3",
    "method/state",
    "act",
    "head/act",
    "act-beside",
    "head/diffusion",
    "quick",
    "protocol/clar-rlbench",
    "metaworld-multitask",
    "rlbench-4",
    "data/metaworld-34",
    "pretrain/clar-small",
    "reach",
    "rlbench4-port/close-box",
    "metaworld",
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("BENCH_WEIGHTS", str(tmp_path / "weights"))

    def invoke(*words: str, columns: int = 80) -> str:
        done = CliRunner(env={"COLUMNS": str(columns)}).invoke(app, [*words])
        assert done.exit_code == 0, done.output
        return done.stdout

    return invoke


@pytest.mark.slow
def test_what_is_known_of_cards_without_torch_is_what_they_say() -> None:
    """`python -m baselines.facts` writes it."""
    register_baselines()
    assert FILE.read_text() == as_json()
    for name in table():
        card, facts = class_of(name).card, facts_named(name)
        assert facts is not None and facts == shipped_facts(card.name)
        assert (facts.name, facts.observes, facts.version) == (card.name, card.observes, card.version)
    fields = {field for card in map(facts_named, table()) for field in card.observes if not field.endswith("_valid")}
    assert fields <= set(SEEN)


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 60])
def test_no_line_of_a_list_is_wider_than_the_terminal(here, columns: int) -> None:  # type: ignore[no-untyped-def]
    for words in ([], *([kind] for kind in KINDS)):
        assert max(map(len, here("list", *words, columns=columns).splitlines())) <= columns, words


@pytest.mark.slow
def test_the_overview_fits_a_screen_and_names_everything_but_tasks(here) -> None:  # type: ignore[no-untyped-def]
    text, found = here("list"), json.loads(here("list", "--json"))
    assert text.count("\n") < 50
    words = set(text.replace(",", " ").split())
    named = {name for kind, names in found.items() if kind != "tasks" for name in names}
    second = {name for name in found["methods"] if facts_named(name).name != name}  # type: ignore[union-attr]
    assert named - words == second and "50 of metaworld" in text
    assert "metaworld-15           MetaWorld, 15 tasks" in text


@pytest.mark.slow
def test_methods_are_listed_by_what_they_are_and_their_weights(here, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    def line(name: str) -> list[str]:
        return next(line for line in here("list", "methods").splitlines() if line.startswith(f"  {name} ")).split("  ")

    def said(name: str) -> list[str]:
        return [part.strip() for part in line(name) if part]

    assert said("clip") == ["clip", "RGB", "to fetch", "CLIP ViT-B/32"]
    assert said("dp3") == ["dp3", "point cloud", "–", "DP3 (encoder)"]
    assert said("state")[1:3] == ["state", "–"] and said("clar")[2] == "your own"
    assert said("clip-vitb32") == ["clip-vitb32", "another name of clip"]
    (tmp_path / "weights" / "clip").mkdir(parents=True)
    (tmp_path / "weights" / "clip" / "ViT-B-32.pt").write_bytes(b"x")
    assert said("clip")[2] == "here"
    assert "baselines." not in here("list", "methods") and "baselines.clip:CLIP" in here("list", "methods", "--json")
    assert "ViT-B-32.pt: on this machine" in here("show", "clip") and "--weights random" not in here("show", "clip")


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWN)
def test_what_is_shown_ends_with_a_command_that_runs(name: str, here, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    text = here("show", name)
    assert max(map(len, text.splitlines())) <= 80
    said, _, command = text.rpartition("\n\n")[2].partition("\n")
    assert said in ("run it:", "go on:")
    bench, *words = shlex.split(command.replace("\\\n", ""))
    assert bench == "bench"
    monkeypatch.setattr("benchmark.experiment.dry_run.plan", lambda *_: {})  # it measures how long a run takes
    monkeypatch.setattr("benchmark.experiment.dry_run.describe", lambda _: "")
    if name == "rlbench-4":  # which is not to be had here
        return
    here(*words, *(["--dry-run"] if words[0] != "list" and "--dry-run" not in words else []))


@pytest.mark.slow
def test_a_card_and_a_protocol_in_words(here) -> None:  # type: ignore[no-untyped-def]
    text = " ".join(here("show", "clip").split())
    for part in (
        "clip: CLIP ViT-B/32 (method)",
        "sees RGB, the short side resized to 224 pixels, of which the central 224 x 224 are cut out",
        "weights ViT-B-32.pt: not on this machine: bench weights clip --fetch, or --weights random",
        "method.observe=rgb (rgb, rgbd) rgbd: depth as a grey image",
    ):
        assert part in text, part
    text = " ".join(here("show", "quick").split())
    assert "protocol.train_demos=20 protocol.valid_demos=2 protocol.horizon=200 steps of every demonstration" in text
    text = " ".join(here("show", "head/act").split())
    assert text.startswith("act-head: ACT (head) (policy)") and "act, another name of it" in text
    assert json.loads(here("show", "rlbench4-port/close-box", "--json"))["suites"] == ["rlbench4-port"]


def test_show_without_a_name_says_where_names_are() -> None:
    done = CliRunner().invoke(app, ["show"])
    assert done.exit_code == 2 and done.stderr == "error: NAME is missing: `bench list` names what there is\n"


def test_comments_belong_to_the_values_that_they_stand_behind(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("defaults: [clar]\nname: mine\nepochs: 3   # few\nrollouts: 2\nouter:\n  inner: [1, 2]  # two\n")
    found = comments(file, CONF / "protocol")
    assert found["epochs"] == "few" and found["outer.inner"] == "two"
    assert "rollouts" not in found and found["evaluate_every"] == "CLAR"


@pytest.mark.slow
def test_a_suite_whose_simulator_cannot_be_imported_here_is_shown(here, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "mine.yaml"
    file.write_text(f"name: mine\nenv: {tmp_path}/away.py:Away\ntasks:\n  easy: [near]   # of mine\n")
    text = here("show", str(file))
    assert "suite.tasks={easy: [near]}" in text and text.endswith("--method proprio-only --dry-run\n")
    file.write_text("name: mine\ntasks: {easy: [near]}\n")
    assert "suite.tasks={easy: [near]}" in here("show", str(file))
