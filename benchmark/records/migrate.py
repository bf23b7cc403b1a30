"""Records of schema 1 as this version would have written them, and what they cannot say.

Schema 1 named a number by its settings alone. Schema 2 also names the suite, the code of the method, the versions that
the simulator's process has, the crop in metres and the virtual cameras. What a record of schema 1 kept elsewhere
(fingerprint, provenance) is taken from there; what it never knew is said in `migrated`.
"""

from __future__ import annotations

import copy
import re
from typing import Any

from benchmark.settings.head import added
from benchmark.settings.labels import head_label, protocol_label
from benchmark.settings.protocol import Protocol
from benchmark.system.digest import digest
from envs.identity import added as later_fields

METAWORLD_CROP = {"low": [-0.6, 0.3, 0.005], "high": [0.6, 0.9, 2.0]}
"""What `crop: null` meant on MetaWorld while schema 1 was written (envs/metaworld.py since commit d3391d0)."""

METAWORLD_VIEWS = [
    {"name": name, "eye": eye, "target": target, "up": up, "on_hand": on_hand}
    for name, eye, target, up, on_hand in (
        ("overhead", [0.0, 0.6, 1.0], [0.0, 0.6, 0.0], [0.0, 1.0, 0.0], False),
        ("back-right", [0.6, 0.9, 0.7], [0.0, 0.6, 0.0], [0.0, 0.0, 1.0], False),
        ("front-left", [-0.6, 0.3, 0.7], [0.0, 0.6, 0.0], [0.0, 0.0, 1.0], False),
        ("wrist-left", [0.0, -0.12, 0.08], [0.0, 0.03, -0.08], [0.0, 0.0, 1.0], True),
    )
]
"""The cameras of `views` on MetaWorld in that time."""

CLAR = ("clar", "clar-small")
CLAR_INPUT = {"num_points": 1024, "normalization": "fixed", "center": [0.0, 0.6, 0.35], "half_width": 0.6}
"""CLAR's default in that time, `norm=workspace`, is an option beside this default since."""

UNKNOWN_SOURCE = "unknown: schema 1 kept no source"


def upgrade(old: dict[str, Any]) -> dict[str, Any]:
    """A record of schema 1 as plain data of schema 2. Raises KeyError, TypeError or ValueError where it is none."""
    data = copy.deepcopy(old)
    was = data["identity"]
    env = was["suite"]["env"]
    unknown: list[str] = []
    suite: dict[str, Any] = {"name": data["suite"]}
    if "language" in was["suite"]:
        suite["language"] = was["suite"]["language"]
    observation, method = dict(was["observation"]), dict(was["method"])
    if env == "metaworld":
        if "crop" in observation and observation["crop"] is None:
            observation["crop"] = METAWORLD_CROP
        if "views" in observation:
            observation["virtual_cameras"] = METAWORLD_VIEWS
    if method["name"] in CLAR and method["input"].get("normalization") == "workspace":
        method["input"] = CLAR_INPUT
        method["options"] = {"norm": "workspace", **method.get("options", {})}
        data["method"] = _with_option(data["method"], "norm", method["options"]["norm"])
    identity = {
        **was,
        "schema": 2,
        "harness": 1,
        "suite": suite,
        "method": method | _code(data["card"], method, unknown),
        "env": _simulator(data, env, observation, unknown),
        "observation": observation,
    }
    if "denoiser" in identity["head"]:
        found = data["provenance"].get("versions", {}).get("diffusers")
        identity["head"] = {**identity["head"], "packages": {"diffusers": found}}
    data["protocol"], data["head"] = _labels(was, data["suite"])
    identity["protocol"] = {**was["protocol"], "name": data["protocol"]}
    identity["head"] = {**identity["head"], "name": data["head"]}
    data |= {
        "schema": 2,
        "identity": identity,
        "env": env,
        # settings that were edited by hand must not get a hash that fits them
        "identity_hash": digest(identity) if digest(was) == old["identity_hash"] else old["identity_hash"],
        "migrated": {"schema": 1, "identity_hash": old["identity_hash"], "unknown": unknown},
    }
    return data


def _with_option(label: str, option: str, value: str) -> str:
    """The label of a method with one more option said in it, where `benchmark.experiment.cell.method_label` puts it."""
    name, *parts = label.split("+")
    last = [part for part in parts if part.startswith(("weights=", "text="))]
    options = {part for part in parts if part not in last} | {f"{option}={value}"}
    return "+".join([name, *sorted(options), *last])


def _labels(was: dict[str, Any], suite: str) -> tuple[str, str]:
    """Names of protocol and head that say what was overridden, as `benchmark.settings.labels` makes them today."""
    from benchmark.settings.load import choices, show

    protocol, head = was["protocol"]["name"], was["head"]["name"]
    if head in choices("head"):
        head = head_label(head, show("head", head), {**added(was["head"]), **was["head"]})
    if protocol in choices("protocol"):
        of_suite = show("suite", suite) if suite in choices("suite") else was["suite"]
        written, now = (
            {
                "protocol": numbers,
                "runtime": {"precision": precision},
                "suite": {key: told.get(key) for key in ("env", "observation", "language")},
            }
            for numbers, precision, told in (
                (show("protocol", protocol), "fp32", of_suite),
                ({**later_fields(Protocol), **was["protocol"]}, was["precision"], was["suite"]),
            )
        )
        protocol = protocol_label(protocol, written, now)
    return protocol, head


def _code(card: dict[str, Any], method: dict[str, Any], unknown: list[str]) -> dict[str, Any]:
    """A name of ours is taken for the shipped method at version 1, which is what it was while schema 1 was written."""
    from baselines import BASELINES
    from methods import METHODS

    if method["name"] not in METHODS | BASELINES:
        unknown.append("the source of the method")
        return {"source": UNKNOWN_SOURCE}
    unknown.append(f"that {method['name']} was the shipped method and not a file of that name")
    if card.get("requires"):
        packages = {package: None for package, _ in card["requires"]}
        unknown.append(f"the version of {', '.join(packages)}, which holds its network")
        return {"version": 1, "packages": packages}
    return {"version": 1}


def _simulator(data: dict[str, Any], env: str, observation: dict[str, Any], unknown: list[str]) -> dict[str, Any]:
    """Versions from the fingerprint, which the simulator's own process gave; fpsample's from the parent process."""
    version = data["identity"]["env"]
    if ".py:" in env:
        unknown.append("the source of the simulator")
        return {"name": version.partition("==")[0], "version": version, "packages": {}, "source": UNKNOWN_SOURCE}
    said = dict(re.findall(r"([A-Za-z0-9_.-]+)==([^,\s]+)", data["fingerprint"]))
    packages = {name: said.get(name) for name in ("metaworld", "mujoco")}
    if observation.get("sampler") == "bucket" and "points" in observation["fields"]:
        packages["fpsample"] = data["provenance"].get("versions", {}).get("fpsample")
    unknown += [f"the version of {name}" for name, found in packages.items() if found is None]
    return {"name": env, "version": version, "packages": packages}
