"""CLAMP's Tables III and IV: which record is which row, printed differences beside measured ones, what is not here."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.pretrain import ablation_jobs as ablation_jobs_module
from benchmark.pretrain.ablation_jobs import ablation_jobs, cells_of, check_clamp, settings_of, simulators_options
from benchmark.pretrain.job import make_job
from benchmark.records.record import Record
from benchmark.report.tables.clamp_1 import row_of as row_of_table_1
from benchmark.report.tables.clamp_3 import clamp_ablation_table, row_of
from benchmark.report.tables.forms import render
from benchmark.report.tables.printed_numbers import reported
from benchmark.settings.clamp_ablation import SUITE, VARIANTS, choose_clamp
from benchmark.settings.load import load_settings
from benchmark.system.errors import ConfigError
from tests.report.test_tables import plain, record

ABLATION = load_settings(SUITE, "clamp", "mlp").suite
PRETRAINED = {"files": {"p.pt": "a"}, "untrained": False, "pretraining": {"variant": "policy"}}


def made(
    task: str = "pen-in-container",
    counts: tuple[int, int, int] = (5, 50, 5),
    variant: str | None = "full",
    policy: str = "aloha-unleashed-beside",
    begun: dict[str, Any] | None = None,
    method: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
    suite: str = SUITE,
    control: str = "",
) -> Record:
    """variant: of the encoders' pre-training, None without."""
    own = "+".join(["clamp", *(f"{key}={value}" for key, value in (method or {}).items()), f"weights={variant}"])
    head = policy + "".join(f"+{key}={value}" for key, value in (options or {}).items())
    found = record(task, "clamp", counts, suite=suite, protocol="clamp", env="aloha", head=head)
    identity = {
        **found.identity,
        "method": {**found.identity["method"], "options": method or {}},
        "env": {**found.identity["env"], "version": "aloha==1" + (f", control={control}" if control else "")},
        "head": {"name": head, "policy": {"name": policy, "options": options or {}}},
    }
    encoders = {"pretraining": {"variant": variant}} if variant else {}
    weights = {"files": {}, "untrained": variant is None, **encoders, "policy": PRETRAINED if begun is None else begun}
    return dataclasses.replace(
        found, method=own, identity=identity, weights=weights, identity_hash=f"{own}{head}{task}"
    )


PAIR = {"aloha-unleashed": "p.pt", "act": "a.pt"}
CASES = {
    "ALOHA Unleashed with CLAMP": {},
    "Without virtual wrist views": {"variant": "without-wrist-views", "method": {"views": "fixed"}},
    "Standard virtual five views": {"variant": "orthogonal", "method": {"layout": "orthogonal"}},
    "Pre-training w/o text encoder": {"variant": "without-text"},
    "Replace ViT with DP3": {"variant": "dp3", "method": {"image": "dp3"}},
    "Without STRING": {"variant": "without-string", "method": {"string": "false"}},
    "Without pre-training encoders": {"variant": None, "method": {"frozen": "false"}},
    "Unfrozen encoders (fine-tuning)": {"method": {"frozen": "false"}},
    "ACT with CLAMP": {"policy": "act-beside"},
    "Image random cropping": {"options": {"crop": "random"}},
    "Pre-training decoder only": {"options": {"begin": "decoder"}},
    "Dome images": {"variant": "dome", "method": {"layout": "dome"}},
    "Pooled encoder features (fine-tuning)": {"options": {"condition": "pooled"}},
    "Absolute Cartesian control": {"control": "cartesian"},
    "Relative Cartesian control": {"control": "relative-cartesian"},
}


@pytest.mark.slow
def test_every_row_that_can_be_run_has_its_record_and_no_other() -> None:
    rows = [variant.row for variant in VARIANTS]
    assert list(CASES) == rows
    for row, told in CASES.items():
        assert row_of(made(**told)) == row  # type: ignore[arg-type]
    printed = {one.method for number in ("III", "IV") for one in reported("clamp", f"Table {number}")}
    assert printed == {variant.row for variant in VARIANTS} - {"ALOHA Unleashed with CLAMP"}
    for variant in (one for one in VARIANTS if one.without is not None):
        job = make_job("clamp", ["aloha-pretrain"], variant.without or (), None, settings_of(variant))
        assert job.config.variant == variant.trained, "the card's word"
        told = {"layout", "image", "string", "views"} & set(variant.method)
        assert job.config.encoder_options() == {name: variant.method[name] for name in told}
    assert row_of(made(variant="dome")) is None and row_of(made(method={"layout": "dome"})) is None
    assert row_of(made(begun={})) is None, "a policy that was not pre-trained"
    assert row_of(made(variant="without-text", options={"crop": "random"})) is None, "two things at once"
    assert row_of(made(variant=None)) is None, "frozen encoders that nobody trained"
    assert row_of(made(options={"size": "small"})) == "ALOHA Unleashed with CLAMP"


def test_table_1_has_its_rows_of_policies_beside_the_encoders() -> None:
    one = made(suite="aloha-6")
    assert row_of_table_1(one) == "ALOHA Unleashed with CLAMP"
    assert row_of_table_1(made(begun={"files": {}, "untrained": False})) == "ALOHA Unleashed with CLAMP Encoders Only"
    nothing = {key: value for key, value in one.weights.items() if key != "policy"}
    alone = dataclasses.replace(made(policy="act-beside"), weights=nothing)
    assert row_of_table_1(alone) == "ACT with CLAMP Encoders Only"
    for told in (
        {"policy": "act-beside"},
        {"variant": None},
        {"options": {"size": "small"}},
        {"method": {"views": "fixed"}},
        {"method": {"layout": "dome"}},
        {"control": "cartesian"},
    ):
        assert row_of_table_1(made(**told)).startswith("own ")  # type: ignore[arg-type]


def as_drawn(one: Record, task: str) -> Record:
    """With what a real record has of views and demonstrations, which a row may be about."""
    layout = one.identity["method"]["options"].get("layout", "five")
    views = {"views": f"views of {layout}", "virtual_cameras": {"layout": layout}, "cameras": ["front-left"]}
    seen = views if layout == "five" else {**views, "layout": layout}
    identity = {**one.identity, "observation": {"fields": ["views"], **seen}}
    actions = "control=" in str(one.identity["env"]["version"])
    return dataclasses.replace(one, identity=identity, demo_hash=f"{actions}{task}")


@pytest.mark.parametrize("row", [row for row in CASES if row != "ALOHA Unleashed with CLAMP"])
def test_no_row_is_set_apart_by_what_it_is_about(row: str) -> None:
    task = "can-opener-in-caddy"
    whole, one = (as_drawn(made(task, **told), task) for told in ({}, CASES[row]))  # type: ignore[arg-type]
    seeds = [dataclasses.replace(one, seed=seed, identity_hash=f"{seed}") for seed in range(3)]
    number = next(variant.table for variant in VARIANTS if variant.row == row)
    for records in ([whole, one], [one, whole], [whole, *seeds]):
        table, apart = clamp_ablation_table(records, ABLATION, "clamp", "clamp", number)
        assert apart == [], apart
        assert [line[2] for line in csv.reader(plain(render(table, "csv"))) if line[1] == "difference"] != []
    late = {
        **one.identity,
        "env": {**one.identity["env"], "version": f"{one.identity['env']['version']}, joint_delay=0.1"},
    }
    _, apart = clamp_ablation_table(
        [whole, dataclasses.replace(one, identity=late)], ABLATION, "clamp", "clamp", number
    )
    assert "env.version joint_delay=0.1 instead of none" in " ".join(apart), "what it is not about does"


def test_printed_differences_stand_beside_measured_ones() -> None:
    records = [made(), made(counts=(4, 30, 4), **CASES["Without STRING"])]  # type: ignore[arg-type]
    table, apart = clamp_ablation_table(records, ABLATION, "clamp", "clamp", 3)
    found = {(row[0], row[1]): row[2:] for row in csv.reader(plain(render(table, "csv")))}
    assert apart == [] and list(table.columns)[2:] == ["can-opener-in-caddy", "pen-in-container", "mug-on-plate"]
    assert found["ALOHA Unleashed with CLAMP", "Table I"] == ["94", "51.3", "95.3"]
    assert found["Without STRING", "reported"] == ["-2", "-3.3", "-4.6"]
    (label,) = {name for name, kind in found if kind == "difference"}
    assert "string=false" in label and found[label, "retest"][1].startswith("30.0 [")
    assert found[label, "difference"][0] == "not run" and found[label, "difference"][1].startswith("-20.0 [-")
    table, _ = clamp_ablation_table(records, ABLATION, "clamp", "clamp", 4)
    assert list(table.columns)[2:] == ["can-opener-in-caddy"]


def bench(*words: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, list(words))
    return found.exit_code, " ".join(found.output.split())


@pytest.mark.slow
def test_the_command_line(tmp_path: Path) -> None:
    for number, row in (("3", "Without STRING"), ("4", "Dome images")):
        code, said = bench("table", number, "--paper", "clamp", "--records", str(tmp_path))
        assert code == 0 and row in said and "not run" in said
    weights = tmp_path / "policy.pt"
    weights.write_bytes(b"x")
    code, said = bench("suite", SUITE, "--policy-weights", str(weights))
    assert code != 0 and "--pretrain-data is missing: this suite's encoders read the actions of two arms" in said
    out = ["--out", str(tmp_path / "runs"), "--dry-run", "--pretrain-data", "metaworld-34"]
    code, said = bench("suite", SUITE, "--method", "clamp-small", *out)
    assert code != 0 and "give --policy-weights FILE, which `bench pretrain --policy aloha-unleashed` leaves" in said
    code, said = bench("suite", SUITE, "--method", "clamp-small", "--policy-weights", str(weights), *out)
    assert code != 0 and "act (ACT with CLAMP) begins with a pre-trained policy: give --act-weights" in said
    chosen = ["--variants", "full,standard-views,dome,dp3,pooled", "--policy-weights", str(weights)]
    for words, why in (
        (("--variants", "full,cartesian"), "cartesian, relative-cartesian give each alone"),
        (("--variants", "x"), "--variants x is none of full, without-wrist-views"),
        (("--policy-weights", "gone.pt"), "--policy-weights gone.pt: there is no such file"),
        (("--teacher", "clip"), "--teacher is not of clamp-ablation"),
        (("--method", "clar-small", *chosen), "Tables III and IV are of CLAMP's encoders"),
    ):
        code, said = bench("suite", SUITE, *words, *out)
        assert code != 0 and why in said, said
    code, said = bench("suite", "clar-ablation", "--policy-weights", str(weights), *out[:3])
    assert code != 0 and "are of clamp-ablation, not of clar-ablation" in said


def test_variants_by_name() -> None:
    assert [one.name for one in choose_clamp(["none", "full"])] == ["full", "none"]
    assert len(choose_clamp(None)) == len(CASES) - 2, "two have actions, and a policy to begin with, of their own"
    assert [one.name for one in choose_clamp(["cartesian"])] == ["cartesian"]
    for names in (["full", "cartesian"], ["cartesian", "relative-cartesian"]):
        with pytest.raises(ConfigError, match="of cartesian, relative-cartesian give each alone, with the policy that"):
            choose_clamp(names)
    job = ablation_jobs(choose_clamp(["cartesian"]), "clamp", ["aloha-pretrain"], None)
    (only,) = job.values()
    assert only.identity()["data"][0]["env_options"] == ["control=cartesian"]
    assert only.label == "aloha-pretrain-full-cartesian", "beside that of the row `full`"
    assert "env.aloha.control=cartesian" in cells_of(choose_clamp(["cartesian"])[0], None, {"aloha-unleashed": "p"})[1]
    assert not [text for one in choose_clamp(None) for text in cells_of(one, None, PAIR)[1] if "env." in text]


def test_what_the_cells_say_of_the_simulator_is_of_the_pretraining_too() -> None:
    said = ["env.aloha.stand_ins=true", "env.aloha.python=/p", "env.metaworld.python=/p", "protocol.steps=3"]
    options = simulators_options(["aloha-pretrain"], said)
    assert options == ["env.aloha.stand_ins=true"]
    own = [*options, "env.aloha.stand_ins=false", "env.aloha.noise=0.02"]  # as `pretrain.env.aloha...` come after them
    (job,) = ablation_jobs(choose_clamp(["cartesian"]), "clamp", ["aloha-pretrain"], None, own).values()
    assert job.data[0].env_options == ("stand_ins=true", "stand_ins=false", "noise=0.02", "control=cartesian")
    assert not simulators_options(["metaworld-34"], said)


def test_a_policy_of_other_actions_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before any pre-training; absolute and relative ones have as many numbers."""
    file = tmp_path / "policy.pt"
    file.write_bytes(b"x")
    version = {"name": "aloha", "version": "aloha==1, aloha_sim 3cb9adff (x), noise=0.02, control=relative-cartesian"}
    monkeypatch.setattr(
        ablation_jobs_module, "card_inside", lambda _: {"kind": "policy", "identity": {"cell": {"env": version}}}
    )
    check_clamp(choose_clamp(["relative-cartesian"]), "clamp", {"aloha-unleashed": str(file)})
    for name, wanted in (("cartesian", "cartesian"), ("full", "joints")):
        with pytest.raises(ConfigError, match=f"actions of control={wanted}, and .* learnt those of control=relative-"):
            check_clamp(choose_clamp([name]), "clamp", {"aloha-unleashed": str(file)})
