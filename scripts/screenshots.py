"""docs/report-*.png anew, from the committed records: `python scripts/screenshots.py`. Needs Chromium.

Each image carries the hash of the page's assets that it was taken of, by which a test finds one that is out of date.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

from PIL import Image, PngImagePlugin

ROOT = Path(__file__).resolve().parents[1]
KEY = "page-assets"
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


def assets_hash() -> str:
    """sha256 of every file that the page is made of."""
    folder = resources.files("benchmark.report.page") / "assets"
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir(), key=lambda one: one.name):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def save(picture: bytes, path: Path) -> None:
    facts = PngImagePlugin.PngInfo()
    facts.add_text(KEY, assets_hash())
    with Image.open(io.BytesIO(picture)) as shown:
        shown.convert("RGB").quantize(128).save(path, pnginfo=facts, optimize=True)


def main() -> None:
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        videos = ["--videos", "hammer/dp3"]
        made = ["--records", "results/measured", "--to", folder, *videos]
        command = [sys.executable, "-m", "benchmark", "report", *made]
        subprocess.run(command, check=True, cwd=ROOT)
        browser = started.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        index = (Path(folder) / "index.html").as_uri()
        for name, size in (("index", WIDE), ("phone", PHONE)):
            page = browser.new_page(viewport=size)
            page.goto(index)
            page.wait_for_timeout(500)
            save(page.screenshot(), ROOT / "docs" / f"report-{name}.png")
        page = browser.new_page(viewport=WIDE)
        page.goto(f"{index}?suite=metaworld-15&protocol=clar&by-task=hammer&by-method=dp3&by-protocol=clar")
        page.locator("#list a").first.click()
        page.wait_for_timeout(1500)
        save(page.screenshot(clip={"x": 0, "y": 0, **WIDE}), ROOT / "docs" / "report-cell.png")
        browser.close()


if __name__ == "__main__":
    main()
