"""`bench weights` and `bench verify`: what an encoder needs, whether it is here, and whether it is the right one."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmark.catalog import cards
from benchmark.fetch import announce, fetch
from benchmark.progress import say
from benchmark.protocol import ConfigError
from benchmark.report.table import Table
from envs.registry import env_class
from envs.spec import FieldSpec, ObservationRequest
from methods import text
from methods.card import MethodCard, PointInput, past_actions_spec
from methods.clar import teacher
from methods.errors import BadWeights
from methods.registry import method_class
from methods.verify import certificate
from methods.weights import check, choose_weights, locate, sha256

EXTRA = {card.name: card for card in (text.CARD, teacher.CARD)}
"""What needs weight files and is no representation."""


def distinct_methods() -> list[str]:
    """Every registered method once, under its card's name."""
    return sorted(card.name for card in cards())


def weights_report(names: Sequence[str], folder: Path, fetch_missing: bool) -> list[dict[str, Any]]:
    """One row for each weight file of the named methods, or of all; fetches what is missing if asked."""
    rows = []
    for name in names or [*distinct_methods(), *EXTRA]:
        card = EXTRA.get(name) or method_class(name).card
        if not card.weights and names:
            say(f"{card.name} is trained from scratch and needs no weights")
        for file in card.weights:
            path = locate(card, file, folder)
            if fetch_missing and not path.is_file():
                if file.url is None:
                    say(f"{card.name}: {file.licence}; give your own with --weights FILE")
                else:
                    announce(card.name, file)
                    fetch(file, path)
            rows.append({
                "method": card.name, "file": file.filename, "url": file.url, "licence": file.licence,
                "non_commercial": file.non_commercial, "path": str(path), "published_sha256": file.sha256,
                "note": file.note, **_status(path, card, file),
            })  # fmt: skip
    return rows


def _status(path: Path, card: MethodCard, file: Any) -> dict[str, Any]:
    if not path.is_file():
        return {"status": "not published" if file.url is None else "absent", "bytes": file.size, "sha256": file.sha256}
    try:
        check(path, file)
    except BadWeights as error:
        return {"status": f"bad: {error}", "bytes": path.stat().st_size, "sha256": sha256(path)}
    how = "verified" if file.sha256 else "here, unverified"
    return {"status": how, "bytes": path.stat().st_size, "sha256": sha256(path)}


def weights_table(rows: Sequence[dict[str, Any]], folder: Path) -> Table:
    cells = []
    for row in rows:
        size = f"{row['bytes'] / 1e6:,.0f} MB" if row["bytes"] else "–"
        cells.append((
            row["method"], row["file"], row["status"], row["licence"], (row["sha256"] or "not stated")[:12], size,
        ))  # fmt: skip
    notes = [f"folder: {folder} (choose with --dir, runtime.weights_dir or $BENCH_WEIGHTS)"]
    notes += sorted({f"{row['method']}: {row['url']}" for row in rows if row["status"] == "absent"})
    if any(row["non_commercial"] for row in rows):
        notes.append("CC-BY-NC weights may not be used commercially.")
    columns = ("method", "file", "status", "licence", "sha256", "size")
    return Table("Weights", columns, tuple(cells), tuple(notes), text_columns=5)


def encoder_specs(card: MethodCard, env: str = "metaworld", camera: str = "corner") -> dict[str, FieldSpec]:
    """The fields an encoder is verified on: MetaWorld's, one camera."""
    points = card.input.num_points if isinstance(card.input, PointInput) else 1024
    fields = tuple(name for name in dict.fromkeys((*card.observes, "proprio")) if name != "past_actions")
    kind = env_class(env)
    request = ObservationRequest(fields=fields, cameras=(camera,), num_points=points)
    return kind.specs(request) | past_actions_spec(card, kind.action_spec)


def verify(name: str, weights: str | None, folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """The certificate of one encoder. Raises `WeightsMissing`, `BadWeights` or `ConfigError`."""
    kind = method_class(name)
    for package, install in kind.card.requires:
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"{kind.card.name} needs the package {package}, which is not installed: {install}")
    chosen = choose_weights(kind.card, weights, folder)
    specs = encoder_specs(kind.card)
    torch.manual_seed(0)
    representation = kind(specs, **kind.card.choose_options(options))
    if chosen.files:
        representation.load_weights(chosen.files)
    facts = {"weights": chosen.label, "weights_files": chosen.hashes(), "options": dict(options)}
    return certificate(representation, specs) | facts


def verify_all(folder: Path) -> list[dict[str, Any]]:
    """Certificates of every method, with random weights where the published ones are not here."""
    found = []
    for name in distinct_methods():
        card = method_class(name).card
        missing = [package for package, _ in card.requires if importlib.util.find_spec(package) is None]
        if missing:
            found.append({"method": name, "skipped": f"the package {missing[0]} is not installed"})
            continue
        here = card.weights and all(locate(card, file, folder).is_file() for file in card.weights)
        say(f"verify {name}{'' if here or not card.weights else ' (random weights)'}")
        found.append(verify(name, None if here or not card.weights else "random", folder, {}))
    return found


def certificates_table(found: Sequence[dict[str, Any]]) -> Table:
    rows = []
    for c in found:
        if "skipped" in c:
            rows.append((c["method"], "skipped: " + c["skipped"], *["–"] * 8))
            continue
        verdicts = {check["name"]: check["verdict"] for check in c["checks"]}
        rows.append((
            c["method"], c["weights"], *(verdicts[n] for n in (
                "parameters", "feature", "deterministic", "batch independent", "frozen", "pixel range")),
            f"{c['feature_dim']}", f"{c['parameters']:,}",
        ))  # fmt: skip
    columns = ("method", "weights", "count", "feature", "deterministic", "batch 1 = 8", "frozen", "pixels", "width",
               "parameters")  # fmt: skip
    notes = (
        "count: parameters against the published number. ok, fail, or - where the rule does not apply.",
        "weights: none = trained from scratch; random = the published file is not here, so features prove nothing.",
    )
    return Table("Encoders verified", columns, tuple(rows), notes, text_columns=8)


def render_certificate(c: dict[str, Any]) -> str:
    lines = [f"{c['method']}, weights {c['weights']}: {c['parameters']:,} parameters, feature {c['feature_dim']}"]
    lines += [f"  {k['verdict']:<4} {k['name']:<18} {k['detail']}" for k in c["checks"]]
    lines.append(f"  weights and buffers sha256 {c['weights_fingerprint'][:16]}, torch {c['torch']}")
    lines.append(f"  feature of the first golden frame: {' '.join(f'{v:.4f}' for v in c['features']['first'][:6])} ...")
    return "\n".join(lines)
