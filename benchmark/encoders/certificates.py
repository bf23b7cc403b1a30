"""`bench verify`: whether an encoder is the right one, by what it computes on fixed inputs."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmark.encoders.specs import encoder_specs
from benchmark.report.tables.table import Table
from benchmark.settings.catalog import cards
from benchmark.system.checked_json import NotPlain, read_json
from benchmark.system.errors import ConfigError
from benchmark.system.progress import say
from methods.registry import method_class
from methods.verify import certificate
from methods.weight_places import locate
from methods.weights import choose_weights


def distinct_methods() -> list[str]:
    """Every registered method once, under its card's name."""
    return sorted(card.name for card in cards())


def verify(name: str, weights: str | None, folder: Path, options: dict[str, Any]) -> dict[str, Any]:
    """The certificate of one encoder. Raises `WeightsMissing`, `BadWeights` or `ConfigError`."""
    kind = method_class(name)
    try:
        given = kind.card.choose_options(options)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    kind = kind.under(given)
    for package, install in kind.card.requires:
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"{kind.card.name} needs the package {package}, which is not installed: {install}")
    chosen = choose_weights(kind.card, weights, folder)
    specs = encoder_specs(kind.card)
    torch.manual_seed(0)
    representation = kind(specs, **given)
    if chosen.files:
        representation.load_weights(chosen.files)
    facts = {"weights": chosen.label, "weights_files": chosen.hashes(), "options": dict(options)}
    return certificate(representation, specs) | facts


def read_certificate(path: Path) -> dict[str, Any]:
    """What `bench verify` wrote on some machine. Raises `ConfigError` for any other file."""
    try:
        found = read_json(path)
        features = found["features"]
        numbers = [*features["first"], *features["norms"], found["parameters"], found["feature_dim"]]
        texts = [found[key] for key in ("method", "torch", "weights_fingerprint")]
        if not all(type(n) in (int, float) for n in numbers) or not all(isinstance(t, str) for t in texts):
            raise TypeError("its fields are of other kinds")
    except NotPlain as error:
        raise ConfigError(f"--against {path} cannot be read: {error}") from error
    except (KeyError, TypeError) as error:
        why = f"it has no {error.args[0]}" if isinstance(error, KeyError) else "its fields are of other kinds"
        raise ConfigError(
            f"--against {path} is no implementation check ({why}); `bench verify METHOD` writes one to OUT/certificates"
        ) from error
    return dict(found)


def verify_all(folder: Path) -> list[dict[str, Any]]:
    """Certificates of every method, with random weights where the published ones are not here."""
    found = []
    for name in distinct_methods():
        card = method_class(name).card
        missing = [package for package, _ in card.requires if importlib.util.find_spec(package) is None]
        if missing:
            found.append({"method": name, "skipped": f"the package {missing[0]} is not installed"})
            continue
        here = card.weights and all(locate(card.name, file, folder).is_file() for file in card.weights)
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
        rows.append(
            (
                c["method"],
                c["weights"],
                *(
                    verdicts[n]
                    for n in ("parameters", "feature", "deterministic", "batch independent", "frozen", "pixel range")
                ),
                f"{c['feature_dim']}",
                f"{c['parameters']:,}",
            )
        )
    columns = (
        "method",
        "weights",
        "count",
        "feature",
        "deterministic",
        "batch 1 = 8",
        "frozen",
        "pixels",
        "width",
        "parameters",
    )
    notes = (
        "count: parameters against the published number. ok, fail, or - where the rule does not apply.",
        "weights: none = trained from scratch; random = the published file is not here, and not checked.",
    )
    return Table("Implementation checks of the encoders", columns, tuple(rows), notes, text_columns=8)


def render_certificate(c: dict[str, Any]) -> str:
    lines = [f"{c['method']}, weights {c['weights']}: {c['parameters']:,} parameters, feature {c['feature_dim']}"]
    lines += [f"  {k['verdict']:<4} {k['name']:<18} {k['detail']}" for k in c["checks"]]
    lines.append(f"  weights and buffers sha256 {c['weights_fingerprint'][:16]}, torch {c['torch']}")
    lines.append(f"  feature of the first golden frame: {' '.join(f'{v:.4f}' for v in c['features']['first'][:6])} ...")
    return "\n".join(lines)
