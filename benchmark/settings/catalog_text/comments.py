"""What the comments of a configuration file say of its settings."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

_LINE = re.compile(r"^(?P<indent> *)(?P<key>[\w-]+):(?P<value>.*?)(?:\s+#\s+(?P<said>.*))?$")


def comments(file: Path, bases: Path) -> dict[str, str]:
    """Dotted key -> what stands behind it in its line. A file that goes on from another (`defaults`) has what that says
    of the settings that it leaves alone; of one that it changes, the other's reasons are none of its own. bases: the
    folder of those files.
    """
    found: dict[str, str] = {}
    text = file.read_text()
    written = yaml.safe_load(text) or {}
    for base in written.get("defaults", ()):
        if isinstance(base, str) and (other := bases / f"{base}.yaml").is_file():
            found |= {key: said for key, said in comments(other, bases).items() if key.partition(".")[0] not in written}
    outer: list[tuple[int, str]] = []
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        indent = len(match["indent"])
        outer = [(at, key) for at, key in outer if at < indent] + [(indent, match["key"])]
        if match["said"]:
            found[".".join(key for _, key in outer)] = match["said"].strip()
    return found
