"""The report in a real Chromium, from disk, with no network."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.report.page import facts
from benchmark.report.page.build import build, claim
from benchmark.report.table import Table
from tests.report.made import media, one, place, several

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install -e .[dev]")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: sudo apt-get install chromium"),
]
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-sync", "--disable-component-update"]
QUIET += ["--disable-background-networking"]
TABLE = Table("Printed", ("method", "%"), (("x", "1"),))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    root = tmp_path_factory.mktemp("report")
    placed = several(root / "records")
    filmed = facts.slug(placed[0][1])
    claim(root / "r")
    return build(placed, [TABLE], [], root / "r", {filmed: media(root / "r/media")}), filmed


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page whose errors and requests fail the test."""
    shown = browser.new_page(viewport={"width": 1280, "height": 900})
    wrong: list[str] = []
    shown.on("pageerror", lambda error: wrong.append(str(error)))
    shown.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    shown.on("request", lambda r: None if r.url.startswith(("file:", "data:", "blob:")) else wrong.append(r.url))
    yield shown
    shown.close()
    assert wrong == []


def column(page: Any, name: str) -> list[str]:
    heads = page.locator("#list thead th").all_inner_texts()
    number = next(i for i, head in enumerate(heads) if head.strip() == name) + 1
    return page.locator(f"#list tbody td:nth-child({number})").all_inner_texts()


def test_it_opens_sorts_and_filters(page: Any, report: tuple[Path, str]) -> None:
    page.goto(report[0].as_uri())
    assert page.locator("#list tbody tr").count() == 73 and page.locator("#count").inner_text() == "73 of 73"
    page.get_by_role("button", name="retest", exact=True).click()
    rates = [int(k) / int(n) for k, n in (text.split("/") for text in column(page, "retest"))]
    assert rates == sorted(rates, reverse=True)
    assert page.locator("#list thead th[aria-sort=descending]").inner_text().strip() == "retest"
    page.get_by_role("button", name="retest", exact=True).click()
    rates = [int(k) / int(n) for k, n in (text.split("/") for text in column(page, "retest"))]
    assert rates == sorted(rates)
    page.get_by_label("Find").fill("hammer s2")
    assert set(column(page, "task")) == {"hammer"} and set(column(page, "seed")) == {"2"}
    page.get_by_label("Find").fill("")
    page.locator("#by-method").select_option("dp3")
    page.locator("#by-suite").select_option("metaworld-perspective")
    assert page.locator("#count").inner_text() == "1 of 73"


def test_every_chart_is_drawn_and_follows_what_is_chosen(page: Any, report: tuple[Path, str]) -> None:
    page.goto(report[0].as_uri())
    assert page.locator("#group option:checked").inner_text() == "metaworld-15, protocol clar"
    assert page.locator("#epochs-chart g[data-series]").count() == 8
    before = page.locator("#epochs-chart svg path").first.get_attribute("d")
    page.locator("#epochs-task").select_option("hammer")
    assert page.locator("#epochs-chart svg path").first.get_attribute("d") != before
    page.locator("#epochs-chart .legend button").first.click()
    assert page.locator("#epochs-chart g[data-series]").count() == 7
    assert page.locator("#forest-chart svg > path").count() == 24, "four methods, two heads, three tasks"
    assert page.locator("#inflation-chart svg a").count() == 72
    assert "points above the retest" in page.locator("#inflation-text").inner_text()
    assert page.locator("#methods-table tbody tr").count() == 8
    assert "Kendall's tau" in page.locator("#tau").inner_text()
    assert "camera moved" in page.locator("#cameras-body").inner_text()
    page.locator("#group").select_option("1")
    assert page.locator("#cameras-body svg path[fill=none]").count() >= 1
    assert "one head" in page.locator("#heads-body").inner_text()


def test_series_differ_without_their_colours(page: Any, report: tuple[Path, str]) -> None:
    page.goto(report[0].as_uri())
    lines = page.locator("#epochs-chart g[data-series] > path[fill=none][stroke-width='2']")
    dashes = [lines.nth(i).get_attribute("stroke-dasharray") or "" for i in range(lines.count())]
    assert len(dashes) == 8 == len(set(dashes))


def test_a_cells_page_plays_a_film_and_turns_a_cloud(page: Any, report: tuple[Path, str]) -> None:
    page.goto(report[0].as_uri())
    page.locator(f"#list a[href='cell.html?{report[1]}']").click()
    page.wait_for_selector("#media-body video")
    assert page.locator("h1").inner_text().startswith("reach: dp3 under mlp")
    played = page.evaluate(
        """async () => { const v = document.querySelector("video"); v.muted = true; await v.play();
        await new Promise(done => v.addEventListener("timeupdate", () => v.currentTime > 0.3 && done()));
        return [v.videoWidth, v.videoHeight, v.error]; }"""
    )
    assert played == [64, 64, None], "H.264 that this browser plays"
    canvas = page.locator("canvas")
    first = canvas.get_attribute("data-view")
    pixels = canvas.evaluate("c => c.toDataURL()")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 190, box["y"] + 120, steps=5)
    page.mouse.up()
    assert canvas.get_attribute("data-view") != first and canvas.evaluate("c => c.toDataURL()") != pixels
    turned = canvas.get_attribute("data-view")
    canvas.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("+")
    assert canvas.get_attribute("data-view") != turned
    assert page.locator("#episodes-body > .row .episodes i").count() == 100
    page.get_by_text("Settings (what a number depends on)").click()
    assert '"cameras"' in page.locator("details[open] pre").first.inner_text()


def test_names_are_text_and_never_markup(page: Any, report: tuple[Path, str]) -> None:
    page.goto(report[0].as_uri())
    page.get_by_label("Find").fill("odd")
    link = page.locator("#list tbody a").first
    assert link.inner_text() == '<b>odd & "named"' and page.locator("#list b").count() == 0
    link.click()
    page.wait_for_function("document.getElementById('title').textContent !== 'A cell'")
    assert '<b>odd & "named"' in page.locator("h1").inner_text()


def test_an_unknown_cell_is_said(page: Any, report: tuple[Path, str]) -> None:
    page.goto((report[0].parent / "cell.html").as_uri() + "?../../evil")
    assert page.locator("h1").inner_text() == "No such cell"


def test_all_of_it_is_reached_by_keyboard(page: Any, report: tuple[Path, str]) -> None:
    page.goto(report[0].as_uri())
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.textContent.slice(0, 12)"))
    assert {"find", "by-suite", "by-task", "by-method", "task", "retest"} <= seen
    page.get_by_role("button", name="retest", exact=True).focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "retest", "the heading keeps the focus"
    assert page.locator("#list thead th[aria-sort=descending]").count() == 1
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_on_a_phone_nothing_is_wider_than_the_screen(
    browser: Any, report: tuple[Path, str], tmp_path: Path
) -> None:
    phone = browser.new_page(viewport={"width": 380, "height": 780})
    label = "clar+batch_size.3d=8,epochs=20,evaluate_every=1,horizon=100,retest_rollouts=50,train_demos=3"
    long = place(dataclasses.replace(one("reach", "dp3"), protocol=label), tmp_path / "records")
    overridden = build([long], [TABLE], [f"not in this table: 1 record under {label}"], tmp_path / "r")
    pages = [(report[0], report[1]), (overridden, facts.slug(long[1]))]
    for address in [a for page, cell in pages
                    for a in (page.as_uri(), (page.parent / "cell.html").as_uri() + f"?{cell}")]:  # fmt: skip
        phone.goto(address)
        phone.wait_for_timeout(300)
        assert phone.evaluate("document.documentElement.scrollWidth") <= 380
    phone.close()


def test_it_prints(page: Any, report: tuple[Path, str], tmp_path: Path) -> None:
    page.goto(report[0].as_uri())
    printed = page.pdf(path=tmp_path / "report.pdf", format="A4", landscape=True)
    assert printed.startswith(b"%PDF") and len(printed) > 30_000
    page.emulate_media(media="print")
    assert not page.locator("#filters").is_visible() and page.locator("#list tbody tr").first.is_visible()


def test_two_thousand_cells_are_sorted_in_about_the_time_they_are_drawn(page: Any, tmp_path: Path) -> None:
    """Against a floor in the same browser: putting as many plain rows into a table."""
    placed = [place(one("reach", "dp3", seed=seed), tmp_path / "records") for seed in range(50)]
    many = [(path, dataclasses.replace(r, task=f"task-{n}")) for n in range(40) for path, r in placed]
    page.goto(build(many, [], [], tmp_path / "r").as_uri())
    assert page.locator("#count").inner_text() == "2000 of 2000"
    floor, sort = page.evaluate(
        """() => {
        const time = act => {
          const t = performance.now(); act(); document.body.offsetHeight; return performance.now() - t;
        };
        const plain = () => {
          const t = document.createElement("table"), b = t.createTBody();
          for (let i = 0; i < 2000; i++) {
            const r = b.insertRow(); for (let j = 0; j < 18; j++) r.insertCell().textContent = i * j;
          }
          document.body.append(t);
          return t;
        };
        let made; const a = time(() => { made = plain(); }); made.remove();
        return [a, time(() => document.querySelectorAll("#list thead button")[7].click())];
        }"""
    )
    assert sort < 8 * floor, (sort, floor)
