"""The documentation as a site: it builds without a warning, and what it links to and loads is in it."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
MISSING = [name for name in ("mkdocs", "material", "mkdocstrings") if importlib.util.find_spec(name) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"no {', '.join(MISSING)}: `make docs` installs them")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_link_leads_somewhere(site: Path) -> None:
    pages = {page: page.read_text() for page in site.rglob("*.html")}
    ids = {page: set(re.findall(r'\bid="([^"]+)"', text)) for page, text in pages.items()}
    wrong = []
    for page, text in pages.items():
        if page.name == "404.html":  # its links are those of wherever it is shown
            continue
        for target in re.findall(r'\b(?:href|src)="([^"]+)"', text):
            link = urlsplit(target)
            if link.scheme or link.netloc:
                continue
            there = (page.parent / unquote(link.path)).resolve() if link.path else page
            there = there / "index.html" if there.is_dir() else there
            if not there.exists() or (link.fragment and there in ids and unquote(link.fragment) not in ids[there]):
                wrong.append(f"{page.relative_to(site)}: {target}")
    assert wrong == []


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(r'<(?:script|img|link)\b[^>]*\b(?:src|href)="(https?:[^"]+)"', page.read_text())
        assert loaded == [], page


def test_the_reference_has_what_it_names(site: Path) -> None:
    shown = (site / "reference" / "index.html").read_text()
    named = re.findall(r"^::: (\S+)$", (ROOT / "docs/reference.md").read_text(), re.MULTILINE)
    assert named and [name for name in named if f'id="{name}"' not in shown] == []
    assert "unclipped float32" in shown.replace("\n", " "), "docstrings are shown"
