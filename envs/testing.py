"""The contract of a simulator as tests that anyone can inherit.

    from envs.testing import EnvContract

    class TestMySimulator(EnvContract):
        env = "my_simulator"                 # registry name, or path/to/file.py:Class
        task = "reach"
        fields = ("points", "points_valid", "proprio")
        cameras = ("front",)

Each test is one rule, and says which one is broken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from envs.base import Env
from envs.classes import restorable
from envs.errors import SpecMismatch
from envs.expert import expert_episode
from envs.pictures import PICTURES, each_picture
from envs.pool import EnvConfig, Pool
from envs.registry import env_class, make, resolve
from envs.spec import Observation, ObservationRequest


class EnvContract:
    """Inherit, set the class attributes, and let pytest collect it."""

    env: ClassVar[str]
    task: ClassVar[str]
    fields: ClassVar[tuple[str, ...]] = ("proprio",)
    cameras: ClassVar[tuple[str, ...]] = ()
    steps: ClassVar[int] = 8

    @property
    def request_(self) -> ObservationRequest:
        return ObservationRequest(fields=self.fields, cameras=self.cameras, height=96, width=96, num_points=256)

    @contextmanager
    def built(self) -> Iterator[Env]:
        env = make(self.env, self.task, self.request_)
        try:
            yield env
        finally:
            env.close()

    def actions(self) -> np.ndarray:
        spec = env_class(self.env).action_spec
        draws = np.random.default_rng(0).uniform(spec.low, spec.high, (self.steps, spec.size))
        return draws.astype(np.float32)

    def play(self, env: Env, seed: int) -> tuple[list[Observation], list[np.ndarray]]:
        """Observations and states up to the episode's end; no states of a simulator that restores none."""
        observations, states = [env.reset(seed)], [env.state()] if self.restorable else []
        for action in self.actions():
            step = env.step(action)
            observations.append(step.observation)
            if self.restorable:
                states.append(env.state())
            if step.ended is not None:
                assert step.ended and isinstance(step.ended, str), "ended says in a few words why, or is None"
                break
        return observations, states

    @property
    def restorable(self) -> bool:
        return restorable(env_class(self.env))

    def test_observations_are_as_specified(self) -> None:
        with self.built() as env:
            specs = env.specs(self.request_)
            assert set(specs) == set(self.fields), "specs() must describe exactly the requested fields"
            for observation in self.play(env, 3)[0]:
                assert set(observation) == set(self.fields), "nothing may be computed that was not asked for"
                for name, spec in specs.items():
                    spec.check(observation[name])

    def test_a_seed_names_one_episode(self) -> None:
        with self.built() as env:
            first, _ = self.play(env, 3)
            self.play(env, 4)
            again, _ = self.play(env, 3)
        assert_equal(first, again, "the same seed must give the same episode, whatever was played in between")

    def test_another_seed_gives_another_episode(self) -> None:
        with self.built() as env:
            played = [self.play(env, seed) for seed in (3, 4)]
        a, b = (
            np.concatenate([s.ravel() for s in states or [array for seen in observations for array in seen.values()]])
            for observations, states in played
        )
        assert not np.array_equal(a, b), "two seeds gave the same episode: the seed is ignored"

    def test_the_same_seed_in_another_process(self) -> None:
        with self.built() as env:
            here, _ = self.play(env, 3)
        with Pool(EnvConfig(self.env, self.task, self.request_), 1) as pool:
            list(pool.map("reset", [(3,)]))
            there = [{k: v.copy() for k, v in pool.workers[0].observation.items()}]
            for action in self.actions()[: len(here) - 1]:
                list(pool.map("step", [(action,)]))
                there.append({k: v.copy() for k, v in pool.workers[0].observation.items()})
        assert_equal(here, there, "another process must see the same episode")

    def test_state_restores_every_observation(self) -> None:
        if not self.restorable:
            return
        with self.built() as env:
            observations, states = self.play(env, 3)
            self.play(env, 4)
            env.reset(3)
            restored = []
            for state in states:
                env.set_state(state)
                restored.append(env.observe())
        assert_equal(observations, restored, "reset(seed) and set_state must give the frame that was recorded")

    def test_a_step_that_nobody_sees_is_the_same_step(self) -> None:
        if not hasattr(env_class(self.env), "step_unseen"):
            return
        with self.built() as env:
            found: list[list[Any]] = []
            for way in (env.step, env.step_unseen):  # type: ignore[attr-defined]
                env.reset(3)
                led_to: list[Any] = []
                for action in self.actions():
                    step = way(action)
                    led_to.append((*step[1:], env.state().tobytes() if self.restorable else b""))
                    if step.ended is not None:
                        break
                found.append([*led_to, env.observe()])
        seen, unseen = found
        assert seen[:-1] == unseen[:-1], "step_unseen must lead to where step does"
        assert_equal([seen[-1]], [unseen[-1]], "what is observed then must be the same")

    def test_a_planned_episode_is_what_its_actions_lead_to(self) -> None:
        if not hasattr(env_class(self.env), "expert_episode"):
            return
        with self.built() as env:
            planned, again = (expert_episode(env, 3, 100_000, None) for _ in range(2))
            assert_equal([planned], [again], "expert_episode(seed) must give the same episode again")
            env.reset(3)
            steps = [env.step(action) for action in planned["actions"]]
        flags = [bool(step.success) for step in steps]
        assert flags == planned["success"].tolist(), "its actions, played one by one, must lead to the same successes"
        assert all(step.ended is None for step in steps[:-1]), "no action follows an end"

    def test_bad_actions_are_refused(self) -> None:
        with self.built() as env:
            env.reset(3)
            good = self.actions()[0]
            for bad in (np.full_like(good, np.nan), good[:-1]):
                try:
                    env.step(bad)
                except ValueError:
                    continue
                raise AssertionError(f"step({bad}) must raise ValueError, not pass it to the simulator")

    def test_impossible_requests_are_refused(self) -> None:
        cls: Any = env_class(self.env)
        missing = {"rgb", "depth", "points", "point_colors", "ground_truth"} - cls.provides
        for name in missing:
            try:
                cls.specs(dataclasses.replace(self.request_, fields=(name,)))
            except SpecMismatch:
                continue
            raise AssertionError(f"specs() must raise SpecMismatch for '{name}', which it cannot give")

    def test_each_camera_has_the_size_that_is_asked_for(self) -> None:
        seen = tuple(name for name in PICTURES if name in self.fields)
        if not getattr(env_class(self.env), "camera_sizes", False) or len(self.cameras) < 2 or not seen:
            return
        both = dataclasses.replace(self.request_, fields=seen, sizes=((self.cameras[1], 48, 64),))
        together = self._first_frame(both)
        for number, camera in enumerate(self.cameras):
            height, width = both.size_of(camera)
            one = dataclasses.replace(self.request_, fields=seen, cameras=(camera,), height=height, width=width)
            alone = self._first_frame(one)
            for name in seen:
                same = np.array_equal(each_picture(name, together)[number], each_picture(name, alone)[0])
                assert same, f"{name} of {camera} is another beside a camera of another size"

    def _first_frame(self, request: ObservationRequest) -> Observation:
        env = make(self.env, self.task, request)
        try:
            return env.reset(3)
        finally:
            env.close()

    def test_a_resolved_request_is_what_is_computed(self) -> None:
        cls = env_class(self.env)
        resolved = resolve(cls, self.request_)
        assert resolve(cls, resolved) == resolved, "resolve() must leave alone what a request says already"
        assert cls.specs(resolved) == cls.specs(self.request_), "resolve() fills in numbers and changes nothing else"
        with self.built() as env:
            asked = env.reset(3)
        env = make(self.env, self.task, resolved)
        try:
            found = env.reset(3)
        finally:
            env.close()
        assert_equal([asked], [found], "a request and the same resolved must give the same observation")

    def test_instructions_are_unique(self) -> None:
        cls = env_class(self.env)
        texts = [cls.instruction(task) for task in cls.tasks]
        assert len(set(texts)) == len(texts), "two tasks share an instruction"

    def test_declared_cameras_and_tasks(self) -> None:
        cls = env_class(self.env)
        assert self.task in cls.tasks
        assert set(self.cameras) <= set(cls.cameras)
        assert len(cls.proprio_names) == cls.specs(ObservationRequest(fields=("proprio",)))["proprio"].shape[0]


def assert_equal(expected: list[Observation], found: list[Observation], rule: str) -> None:
    for step, (a, b) in enumerate(zip(expected, found, strict=True)):
        for name in a:
            assert np.array_equal(a[name], b[name]), f"{rule}; '{name}' differs at step {step}"
