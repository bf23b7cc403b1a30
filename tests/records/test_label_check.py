"""A label of very many changes holds a hash of them: it is compared with the settings as the words of others are."""

from __future__ import annotations

import dataclasses
from typing import Any

from benchmark.records.label_check import misnamed
from benchmark.settings.load import load_settings
from benchmark.settings.settings import Settings

MANY = [
    "protocol.epochs=4",
    "protocol.evaluate_every=2",
    "protocol.train_demos=3",
    "protocol.valid_demos=1",
    "protocol.rollouts=2",
    "protocol.retest_rollouts=3",
    "protocol.learning_rate=2",  # a float that is said as a whole number
    "protocol.weight_decay=0.5",
    "protocol.batch_size.3d=8",
]
HEAD = [
    "head.chunk=20",
    "head.execute=10",
    "head.width=128",
    "head.encoder_layers=1",
    "head.learning_rate=1",
    "head.train_steps=100",
    "head.prediction=sample",
    "head.warmup_steps=100",
]


def _identity(settings: Settings) -> dict[str, Any]:
    return {
        "protocol": dataclasses.asdict(settings.protocol),
        "head": dataclasses.asdict(settings.head),
        "precision": "fp32",
    }


def _misnamed(settings: Settings, identity: dict[str, Any]) -> tuple[str, ...]:
    return tuple(misnamed(settings.protocol.name, settings.head.name, identity))


def test_a_hash_of_the_protocols_changes_says_which_they_are() -> None:
    settings = load_settings("metaworld-15", "quick", "mlp", MANY)
    assert settings.protocol.name.startswith("quick+9-changes-")
    identity = _identity(settings)
    assert _misnamed(settings, identity) == ()
    identity["protocol"]["epochs"] = 5
    (sentence,) = _misnamed(settings, identity)
    assert sentence.startswith(f"it is called {settings.protocol.name}, and what its settings change in quick is ")
    assert "epochs=5" in sentence
    identity = _identity(settings)
    del identity["protocol"]["weight_decay"]
    assert _misnamed(settings, identity) == (), "eight changes and one that may be the suite's"


def test_where_some_changes_are_the_suites_their_number_is_compared() -> None:
    """A record has of a suite what its method reads, and not whatever was said of it."""
    settings = load_settings("metaworld-15", "quick", "mlp", [*MANY, "suite.observation.height=96"])
    assert settings.protocol.name.startswith("quick+10-changes-")
    identity = _identity(settings)
    assert _misnamed(settings, identity) == ()
    identity["protocol"]["clip_actions"] = True
    assert "clip_actions=true" in "".join(_misnamed(settings, identity)), "ten changes, and their hash is another"


def test_a_hash_in_a_heads_name_is_of_its_settings() -> None:
    settings = load_settings("metaworld-15", "quick", "diffusion", HEAD)
    assert settings.head.name.startswith("diffusion+8-changes-")
    identity = _identity(settings)
    assert _misnamed(settings, identity) == ()
    identity["head"]["decoder_layers"] = 3
    (sentence,) = _misnamed(settings, identity)
    assert sentence.startswith(
        f"its head is called {settings.head.name}, and its settings are those of diffusion+9-changes-"
    )
