"""What names a hub's model: `timm:NAME` and `hf:OWNER/NAME` to a person, `timm-NAME` and `hf-OWNER--NAME` in paths.

Records are read by these facts without torch and without the packages.
"""

from __future__ import annotations

from methods.facts import CardFacts

VERSION = 1
"""Of this adapter. What the models themselves compute is named by the version of their package."""
CHANGES = (("training", "lora", "training", "partial"), ("training", "finetune", "training", "end-to-end"))
DEPTH = (("observe", "rgbd", "observes", ("rgb", "depth")),)
"""Of every encoder of images (`baselines.images`)."""


def in_paths(family: str, name: str) -> str:
    return f"{family}-{name.replace('/', '--')}"


def hub_facts(name: str) -> CardFacts | None:
    """Of a card's name; None if it is no hub's."""
    if not name.startswith(("timm-", "hf-")):
        return None
    return CardFacts(name, name, VERSION, "2d", "frozen", ("rgb",), None, (*CHANGES, *DEPTH))
