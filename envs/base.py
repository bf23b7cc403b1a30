"""The interface of a simulator."""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from envs.spec import ActionSpec, FieldSpec, Observation, ObservationRequest


class Step(NamedTuple):
    """What one action leads to. `success` is the task's flag at this step alone.

    ended: None while the episode goes on, else why it is over, in a few words that are the same whenever these actions
        are played: `no path to the target`. An episode that ends without success is a failure of whoever chose the
        action, not an error; what the simulator cannot do for reasons of its own it raises. No action follows an end.
    """

    observation: Observation
    reward: float
    success: bool
    ended: str | None = None


class ExpertEpisode(NamedTuple):
    """An episode as a whole, one row for each of T steps: the moment before an action, the action, what it led to.

    observations: the requested fields (T, ...). actions (T, A) float32, unclipped. rewards (T,), success (T,) after
    each action. states (T, D) float64, None of a simulator that restores no state. failed: the expert gave up, or its
    last action failed.
    """

    observations: Observation
    actions: np.ndarray
    rewards: np.ndarray
    success: np.ndarray
    states: np.ndarray | None = None
    failed: bool = False


class NoExpert(LookupError):
    """The simulator has no scripted expert for this task."""


class Env(Protocol):
    """One task in one simulator.

    The class attributes and `specs` need no simulator: the parent process asks them without importing one.
    Everything else runs in a worker. An environment is deterministic: `reset(seed)` followed by the same actions
    gives the same states, in any process.

    A simulator that chooses something for a request by itself (a crop where none is asked for, a crop by name, virtual
    cameras) has a classmethod `resolve(request) -> ObservationRequest` that fills it in as numbers and changes nothing
    else; its environments compute what the resolved request says. Cache keys and records are made from it, so that a
    changed constant is another key (`envs.registry.resolve`). It is optional.

    A class with `restorable = False` needs no `state` and `set_state`: its demonstrations hold what was observed, so
    that another camera needs other demonstrations, and an audit does not take another outcome of a replay for a
    contradiction. One in which the same seed and actions may lead elsewhere also has `not_replayable`, a text that says
    why: no episode of it is ever replayed, its records say so, and an audit does. If it can tell how an episode really
    began, it has `initial_state() -> (D,) float64`, valid after `reset`; these are kept beside a record.

    Five more things are optional. One that can go on without looking, faster than `step`, has
    `step_unseen(action) -> Step`, the same step with an empty observation: a policy that plans several actions needs
    none in between. A simulator whose expert plans a whole episode has
    `expert_episode(seed) -> ExpertEpisode` and may do without `expert_action`: it resets, and returns the episode up to
    its end. One that draws cameras of different sizes (`ObservationRequest.size_of`) has `camera_sizes = True`: its
    specs take `rgb` and `depth` from `envs.pictures.picture_specs`, and what it draws goes through `as_fields` there.
    Of any other simulator such a request is refused before it gets there. One whose steps are all equally long has
    `control_rate`, steps a second: exported demonstrations say it (`bench export demos`), and no number depends on it.
    One whose `ground_truth` holds objects' places has a classmethod `objects(task)`, a tuple of (name, entry): a name
    in words, and the entry of `ground_truth` at which x, y, z of its place begin, metres, robot frame. What the task
    moves comes first. CLAMP's pre-training puts them into its texts.
    """

    name: ClassVar[str]
    """Registry name of the simulator, such as `metaworld`."""

    version: ClassVar[str]
    """Distribution and version the numbers depend on, such as `metaworld==3.1.1`."""

    # packages: ClassVar[tuple[str, ...]], which a class may leave out: further distributions whose versions the numbers
    # depend on, such as ("mujoco",). They are asked for in the interpreter that holds the simulator.

    tasks: ClassVar[tuple[str, ...]]
    cameras: ClassVar[tuple[str, ...]]
    provides: ClassVar[frozenset[str]]
    """Fields of an observation this simulator can compute."""

    action_spec: ClassVar[ActionSpec]
    proprio_names: ClassVar[tuple[str, ...]]

    request: ObservationRequest
    task: str

    def __init__(self, task: str, request: ObservationRequest) -> None: ...

    @classmethod
    def specs(cls, request: ObservationRequest) -> dict[str, FieldSpec]:
        """Concrete specs of the requested fields. Raises `SpecMismatch` for what cannot be given."""
        ...

    @classmethod
    def instruction(cls, task: str) -> str:
        """What the task is, in a sentence no other task of the simulator shares."""
        ...

    def reset(self, seed: int) -> Observation:
        """Start the episode that `seed` names; 0 <= seed < 2**31."""
        ...

    def step(self, action: np.ndarray) -> Step:
        """Apply a finite float32 (A,) action for one control step. Raises ValueError on NaN or a wrong shape."""
        ...

    def observe(self) -> Observation:
        """The requested fields of the present state."""
        ...

    def state(self) -> np.ndarray:
        """Everything the simulator needs to draw this moment again, float64 (D,)."""
        ...

    def set_state(self, state: np.ndarray) -> None:
        """Restore `state()`. Valid only after `reset` with the seed of the episode it came from."""
        ...

    def expert_action(self) -> np.ndarray:
        """The scripted expert's action here, unclipped float32 (A,). Raises `NoExpert`."""
        ...

    def fingerprint(self) -> str:
        """Simulator and renderer versions that the pixels depend on; says `no renderer` where none is used."""
        ...

    def close(self) -> None: ...
