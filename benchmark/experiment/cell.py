"""A cell: one (suite, task, method, head, seed) under one protocol; the unit of work and of result."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.records.paths import Paths, record_path
from benchmark.records.record import SCHEMA
from benchmark.settings.harness_version import HARNESS
from benchmark.settings.head import DiffusionConfig
from benchmark.settings.policy import PolicyConfig
from benchmark.settings.seeds import parts
from benchmark.settings.settings import Settings
from benchmark.system.digest import digest
from benchmark.system.errors import ConfigError
from envs.errors import SpecMismatch
from envs.spec import FieldSpec, ObservationRequest
from envs.view_layouts import FIVE
from methods.card import MethodCard, PointInput, past_actions_spec
from methods.code import code_facts, text_hash, texts_of
from methods.pictures import refuse_apart
from methods.policy_card import PolicyCard
from methods.registry import class_of, method_class, policy_class
from methods.weights import NONE, Weights

if TYPE_CHECKING:
    from methods.base import Representation
    from methods.policy import Policy


@dataclass(frozen=True)
class Cell:
    """`method` is a registered name or `path/to/file.py:Class`; `method_name` the name on its card, followed by what
    differs from the method as published: `clip+compat=lift3d`, `clar+weights=random`.

    options: the method's own, those at their default left out.
    """

    settings: Settings
    task: str
    method: str
    method_name: str
    seed: int
    options: Mapping[str, str] = field(default_factory=dict)
    weights: Weights = field(default_factory=lambda: Weights(NONE))
    text_weights: tuple[str, ...] = ()
    """sha256 of what makes features of the suite's instructions."""
    policy_weights: Weights = field(default_factory=lambda: Weights(NONE))
    """What a policy over the representation begins with."""

    @property
    def tasks(self) -> list[str]:
        """One; several for a joint policy."""
        return parts(self.task)

    @property
    def label(self) -> str:
        return f"{self.settings.suite.name}/{self.task}/{self.method_name}/{self.settings.head.name}-s{self.seed}"

    @property
    def kind(self) -> type[Representation] | type[Policy]:
        """The method's class: a representation under its options, or a policy that is whole by itself."""
        found = class_of(self.method)
        return found if isinstance(found.card, PolicyCard) else self.representation

    @property
    def representation(self) -> type[Representation]:
        """Raises `BadMethod` for a whole policy, which has none."""
        return method_class(self.method).under(self.options)

    @property
    def card(self) -> MethodCard:
        return self.kind.card

    @property
    def whole(self) -> bool:
        """Whether the method is a policy that stands over no representation."""
        return isinstance(self.card, PolicyCard)

    @property
    def policy(self) -> type[Policy] | None:
        """Of a cell whose policy is one of `methods.policy`'s contract by itself, its class."""
        head = self.settings.head
        return policy_class(head.policy) if isinstance(head, PolicyConfig) else None

    @property
    def cards(self) -> tuple[MethodCard, ...]:
        """The method's, and that of a policy that stands over it, each under its options."""
        head = self.settings.head
        if self.whole or not isinstance(head, PolicyConfig):
            return (self.card,)
        return self.card, policy_class(head.policy).card.under(head.options)

    @property
    def observes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for card in self.cards for name in card.observes))

    @property
    def past_actions(self) -> int:
        return max(card.past_actions for card in self.cards)

    @property
    def request(self) -> ObservationRequest:
        return observed(self.settings, self.cards)

    @property
    def stored(self) -> ObservationRequest:
        """What the demonstrations hold, where the simulator restores no state. Raises `SpecMismatch`."""
        return self.settings.stored(self.request)

    @property
    def batch_size(self) -> int:
        return self.settings.protocol.batch_size[self.card.batch]

    def texts(self) -> dict[str, str]:
        """The code behind a method and a policy that are not shipped, by file name; a policy over a representation has
        a folder of its own."""
        found = dict(texts_of(self.method))
        if isinstance(self.settings.head, PolicyConfig) and not self.whole:
            found |= {f"policy/{name}": text for name, text in texts_of(self.settings.head.policy).items()}
        return found

    def text_hash(self) -> str:
        """`methods.code.text_hash` of the method, and of a policy over it."""
        own = text_hash(self.method)
        if isinstance(self.settings.head, PolicyConfig) and not self.whole:
            return digest([own, text_hash(self.settings.head.policy)])
        return own

    def record(self, paths: Paths) -> Path:
        s = self.settings
        return record_path(
            paths.records, s.protocol.name, s.suite.name, self.task, self.method_name, s.head.name, self.seed
        )

    def work(self, paths: Paths) -> Path:
        return paths.work / self.record(paths).relative_to(paths.records).with_suffix("")

    def build(self, specs: Mapping[str, FieldSpec]) -> Representation | None:
        """The representation with its options and weights, untrained otherwise; None of a whole policy. Draws from
        torch's global generator."""
        if self.whole:
            return None
        representation = self.representation(specs, **self.options)
        if self.weights.files:
            representation.load_weights(self.weights.files)
        return representation

    def pretraining(self) -> dict[str, Any]:
        """`pretraining`: facts of the pre-training the weights come from; {} if it was not ours."""
        from benchmark.records.pretraining_card import facts_for_record

        found = [facts for file in self.weights.files if (facts := facts_for_record(file))]
        return {"pretraining": found[0]} if found else {}

    def policy_weights_facts(self) -> dict[str, Any]:
        """`policy`: what a policy over the representation began with, and its pre-training; {} where with nothing."""
        from benchmark.records.pretraining_card import facts_for_record

        used = self.policy_weights
        found = [known for file in used.files if (known := facts_for_record(file))]
        pretraining = {"pretraining": found[0]} if found else {}
        facts: dict[str, Any] = {"files": used.hashes(), "untrained": used.untrained, **pretraining}
        return {"policy": facts} if used != Weights(NONE) else {}

    def text_encoder_facts(self) -> dict[str, Any]:
        """`text`: what made features of the instructions; {} in suites without."""
        language = self.settings.suite.language
        return {"text": {"encoder": language.text, "weights": list(self.text_weights)}} if language else {}

    def build_policy(self, representation: Representation | None, language_dim: int = 0) -> Policy:
        """The policy over `representation`, untrained; a whole one with its weights. Draws as `build`.

        language_dim: of an instruction's features, 0 in suites without.
        """
        from benchmark.policy.build import build_policy, make_policy

        env, head, protocol = self.settings.simulator(), self.settings.head, self.settings.protocol
        said = protocol.action_loss, protocol.action_scaling
        if not isinstance(head, PolicyConfig):
            assert representation is not None
            return make_policy(head, representation, len(env.proprio_names), env.action_spec, language_dim, *said)
        policy = build_policy(
            head,
            self.specs(),
            env.action_spec,
            representation,
            self.options if self.whole else head.options,
            language_dim,
            *said,
        )
        files = self.weights.files if self.whole else self.policy_weights.files
        if files:
            policy.load_weights(files)
        return policy

    def specs(self) -> dict[str, FieldSpec]:
        """Match what the cards observe with what the simulator gives. Raises `SpecMismatch`."""
        env = self.settings.simulator()
        self._every_frame_where_it_looks_back()
        found: dict[str, FieldSpec] = {}
        for card in self.cards:
            self._provided(card)
            found |= past_actions_spec(card, env.action_spec)
        if len({card.past_actions for card in self.cards if card.past_actions}) > 1:
            raise SpecMismatch(f"{self.label}: policy and representation read other numbers of past actions")
        if not env.restorable:
            env.specs(self.stored)
        found = env.specs(self.request) | found
        for kind in [self.kind] if self.whole or self.policy is None else [self.kind, self.policy]:
            refuse_apart(kind.card.name, kind.card.observes, found, kind.camera_sizes)
        return found

    def _every_frame_where_it_looks_back(self) -> None:
        head = self.settings.head
        looks = head.obs_steps if isinstance(head, (DiffusionConfig, PolicyConfig)) else 1
        every = max(self.settings.of_task(task).frame_every for task in self.tasks)
        if looks > 1 and every > 1:
            raise ConfigError(
                f"{head.name} looks at the last {looks} observations, and of demonstrations only one step in {every} "
                f"is there: {'suite.rules' if self.settings.suite.rules.frame_every else 'protocol'}.frame_every=1"
            )

    def _provided(self, card: MethodCard) -> None:
        env = self.settings.simulator()
        missing = sorted(set(card.observes) - env.provides - {"past_actions"})
        if missing:
            raise SpecMismatch(
                f"{card.name} observes {missing}, which {env.name} cannot give (it gives {sorted(env.provides)}); "
                f"choose a suite whose simulator does, or another method (`bench list methods`)"
            )

    def identity(self) -> dict[str, Any]:
        """Everything the cell's numbers depend on, apart from hardware and the versions of what only rounds otherwise
        (torch, numpy, drivers), which the record keeps as provenance.

        What a card says for people (title, paper, licence, ...) is not in it; `tests/experiment/test_identity.py` has
        the list. Raises `NoSimulator` where the simulator's interpreter cannot be asked.
        """
        card, suite = self.card.as_dict(), self.settings.suite
        optional = {"options": dict(self.options), "past_actions": card["past_actions"]}
        facts = {
            "schema": SCHEMA,
            "harness": HARNESS,
            "suite": {"name": suite.name, **suite.identity()},
            "task": self.task,
            "seed": self.seed,
            "method": {key: card[key] for key in ("name", "observes", "input", "training", "batch")}
            | {"weights": self.weights.identity(), **code_facts(self.method)}
            | {key: value for key, value in optional.items() if value},
            "env": self._simulator(),
            "observation": self.request.canonical(),
            **self.settings.identity(),
        }
        if self.policy_weights != Weights(NONE):
            head = facts["head"]
            facts["head"] = {**head, "policy": {**head["policy"], "weights": self.policy_weights.identity()}}
        if suite.language is not None:
            facts["suite"] = {**facts["suite"], "language": suite.language.identity(self.text_weights)}
        return json.loads(json.dumps(facts))  # lists, not tuples: as it will be read back

    def identity_hash(self) -> str:
        return digest(self.identity())

    def _simulator(self) -> dict[str, Any]:
        simulator = self.settings.simulator()
        facts = simulator.versions()
        sampled = "points" in self.request.fields and self.request.sampler == "bucket"
        fpsample = facts.pop("fpsample")
        if sampled:
            facts["packages"] = {**facts["packages"], "fpsample": fpsample}
        return {"name": simulator.name, **facts}


def observed(settings: Settings, cards: Sequence[MethodCard]) -> ObservationRequest:
    """What the suite's simulator computes for a method, and a policy over it, of these cards. Raises `SpecMismatch`."""
    points = {card.input.num_points for card in cards if isinstance(card.input, PointInput)}
    if len(points) > 1:
        raise SpecMismatch(f"policy and representation want clouds of {sorted(points)} points")
    layouts = {card.layout for card in cards if "views" in card.observes}
    if len(layouts) > 1:
        raise SpecMismatch(f"policy and representation want virtual views of {' and '.join(sorted(layouts))}")
    names = dict.fromkeys(name for card in cards for name in card.observes)
    seen = tuple(name for name in names if name != "past_actions")  # the runner's to give
    return settings.request(seen, next(iter(points), None), next(iter(layouts), FIVE))
