"""For mkdocs: files outside docs/ that a page links to (`](../results/...`) are a part of the site, below source/."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = re.compile(r"\]\(\.\./([^)#\s]+)")
ALWAYS = ("CONTRIBUTING.md",)


def on_files(files: Any, config: Any) -> Any:
    """Add what is linked to. Raises FileNotFoundError for what is not there."""
    wanted = set(ALWAYS)
    for page in Path(config["docs_dir"]).glob("*.md"):
        wanted |= set(OUTSIDE.findall(page.read_text()))
    for name in sorted(wanted):
        if not (ROOT / name).is_file():
            raise FileNotFoundError(f"a page links to {name}, which is no file")
        files.append(File.generated(config, f"source/{name}", abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to where the files are in the site."""
    if page.file.src_uri.startswith("source/"):
        return re.sub(r"\]\(docs/", "](../", markdown)
    return OUTSIDE.sub(r"](source/\1", markdown)
