"""The report in a real Chromium, from disk, with no network."""

from __future__ import annotations

import dataclasses
import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmark.report.method_colours import colour_of
from benchmark.report.page import facts
from benchmark.report.page.build import build, claim
from benchmark.report.tables.table import Table
from tests.report.made import media, one, place, several

sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install -e .[dev]")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: sudo apt-get install chromium"),
]
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-sync", "--disable-component-update"]
QUIET += ["--disable-background-networking"]
TABLE = Table(
    "Printed",
    ("method", "number", "%"),
    (("x", "reported", "1"), ("x", "retest", "2"), ("y", "reported", "3"), ("", "retest", "not run")),
    rules=frozenset({2}),
)


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


def rates(page: Any) -> list[float]:
    """From "79 % [70, 86] (79/100)"."""
    counts = [re.search(r"\((\d+)/(\d+)\)$", text) for text in column(page, "retest")]
    return [int(found[1]) / int(found[2]) for found in counts if found]


@pytest.mark.slow
def test_it_opens_sorts_and_filters(page: Any, report: tuple[Path, str]) -> None:
    page.goto(report[0].as_uri())
    assert page.locator("#list tbody tr").count() == 30 and page.locator("#count").inner_text() == "73 of 73"
    page.get_by_role("button", name="Show the other 43").click()
    assert page.locator("#list tbody tr").count() == 73
    page.get_by_role("button", name="retest", exact=True).click()
    assert rates(page) == sorted(rates(page), reverse=True)
    assert page.locator("#list thead th[aria-sort=descending]").inner_text().strip() == "retest"
    page.get_by_role("button", name="retest", exact=True).click()
    assert rates(page) == sorted(rates(page))
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
    assert not page.locator("#cameras").is_visible(), "nothing was retested with a moved camera"
    page.locator("#group").select_option("1")
    assert page.locator("#cameras-body svg path[fill=none]").count() >= 1
    assert not page.locator("#heads").is_visible() and not page.locator("nav a[href='#heads']").is_visible()


def test_series_differ_without_their_colours(page: Any, report: tuple[Path, str]) -> None:
    page.goto(report[0].as_uri())
    assert page.locator("#epochs-chart > svg").get_attribute("width") == "860"
    lines = page.locator("#epochs-chart g[data-series] > path[fill=none][stroke-width='2']")
    dashes = [lines.nth(i).get_attribute("stroke-dasharray") or "" for i in range(lines.count())]
    assert len(dashes) == 8 == len(set(dashes))
    names = page.locator("#epochs-chart g[data-series]").evaluate_all("all => all.map(g => g.dataset.series)")
    colours = [lines.nth(i).get_attribute("stroke") for i in range(lines.count())]
    of_method: dict[str, set[Any]] = {}
    for name, colour in zip(names, colours, strict=True):
        of_method.setdefault(name.split(", ")[0], set()).add(colour)
    assert all(len(found) == 1 for found in of_method.values()), "a method has one colour under both heads"
    assert of_method["dp3"] == {colour_of("dp3")}
    ends = page.locator("#epochs-chart text.end").evaluate_all("all => all.map(t => +t.getAttribute('y'))")
    assert len(ends) == 8 and min(b - a for a, b in itertools.pairwise(sorted(ends))) >= 13, "named at their ends"


def test_one_s_own_results_come_first_and_what_was_not_run_is_folded(page: Any, report: tuple[Path, str]) -> None:
    page.goto(report[0].as_uri())
    places = [page.locator(f"#{part}").bounding_box()["y"] for part in ("summary", "cells", "charts", "tables")]
    assert places == sorted(places) and places[0] < 400
    rows = page.locator("table.paper tbody tr")
    assert [rows.nth(i).is_visible() for i in range(4)] == [True, True, False, False]
    page.get_by_label("show rows without a record").check()
    assert all(rows.nth(i).is_visible() for i in range(4))


def test_a_field_of_the_summary_chooses_its_cells_and_the_address_keeps_it(page: Any, report: tuple[Path, str]) -> None:
    page.goto(report[0].as_uri())
    row = page.locator("#heat tbody tr", has_text="dp3, mlp")
    heads = page.locator("#heat thead th").all_inner_texts()
    field = row.locator("td").nth(heads.index("hammer") - 1)
    assert "/300 · 3 s" in field.inner_text()
    field.locator("button").click()
    assert page.locator("#count").inner_text() == "6 of 73", "three seeds under two heads"
    assert {"by-task=hammer", "by-method=dp3", "suite=metaworld-15"} <= set(page.url.partition("?")[2].split("&"))
    page.reload()
    assert page.locator("#count").inner_text() == "6 of 73" and set(column(page, "task")) == {"hammer"}
    page.locator("#group").select_option("1")
    assert "suite=metaworld-perspective" in page.url
    page.reload()
    assert page.locator("#group option:checked").inner_text() == "metaworld-perspective, protocol clar"
    assert page.locator("#heat tbody tr").count() == 1


CONTRAST = """() => {
  const light = c => { const [r, g, b] = c.map(v => { v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const behind = node => { for (; node; node = node.parentElement) {
    const c = parse(getComputedStyle(node).backgroundColor); if (c.length < 4 || c[3] > 0.99) return c.slice(0, 3); }
    return parse(getComputedStyle(document.body).backgroundColor).slice(0, 3); };
  const worst = [];
  for (const node of document.querySelectorAll("body *")) {
    if (node.closest("svg") || !node.checkVisibility()) continue;
    if (![...node.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
    const a = light(parse(getComputedStyle(node).color).slice(0, 3)), b = light(behind(node));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) worst.push([ratio, node.tagName, node.textContent.slice(0, 30)]);
  }
  return worst;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_a_contrast_of_4_5(scheme: str, browser: Any, report: tuple[Path, str]) -> None:
    shown = browser.new_page(color_scheme=scheme)
    for address in (report[0].as_uri(), (report[0].parent / "cell.html").as_uri() + f"?{report[1]}"):
        shown.goto(address)
        shown.wait_for_timeout(300)
        assert shown.evaluate(CONTRAST) == []
    shown.close()


def test_a_cells_page_plays_a_film_and_turns_a_cloud(page: Any, report: tuple[Path, str]) -> None:
    page.goto(report[0].as_uri())
    page.locator("#more").click()
    page.locator(f"#list a[href='cell.html?{report[1]}']").click()
    page.wait_for_selector("#media-body video")
    assert page.locator("h1").inner_text().startswith("reach: dp3 under mlp")
    assert page.locator("#tiles li").count() == 4 and "fresh episodes" in page.locator("#tiles li").first.inner_text()
    assert page.locator("figure figcaption").all_inner_texts()[0].startswith("failure"), "what to mend comes first"
    assert page.locator("figure").first.get_attribute("class") == "lost"
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
    page.locator("#episodes-body > .row .episodes i").nth(3).click()
    assert re.fullmatch(r"seed \d+: \w+ in \d+ steps", page.locator("#episodes-body > .row output").inner_text())
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


def test_on_a_phone_nothing_is_wider_than_the_screen(browser: Any, report: tuple[Path, str], tmp_path: Path) -> None:
    phone = browser.new_page(viewport={"width": 380, "height": 780})
    label = "clar+batch_size.3d=8,epochs=20,evaluate_every=1,horizon=100,retest_rollouts=50,train_demos=3"
    long = place(dataclasses.replace(one("reach", "dp3"), protocol=label), tmp_path / "records")
    overridden = build([long], [TABLE], [f"not in this table: 1 record under {label}"], tmp_path / "r")
    pages = [(report[0], report[1]), (overridden, facts.slug(long[1]))]
    for address in [
        a for page, cell in pages for a in (page.as_uri(), (page.parent / "cell.html").as_uri() + f"?{cell}")
    ]:
        phone.goto(address)
        phone.wait_for_timeout(300)
        assert phone.evaluate("document.documentElement.scrollWidth") <= 380
        smallest = phone.evaluate(
            """() => Math.min(...[...document.querySelectorAll(".chart svg")].filter(s => s.checkVisibility()).map(
            s => 12 * s.getBoundingClientRect().width / s.viewBox.baseVal.width))"""
        )
        assert smallest >= 11, "pixels of a chart's text"
    phone.close()


def test_a_long_label_of_a_method_moves_no_result_out_of_sight(page: Any, tmp_path: Path) -> None:
    label = "dp3+batch_size=8+norm=workspace+weights=metaworld-35-mae-only+text=hash"
    long = place(dataclasses.replace(one("reach", "dp3"), method=label), tmp_path / "records")
    page.goto(build([long], [TABLE], [], tmp_path / "r").as_uri())
    box = page.get_by_role("button", name="retest", exact=True).bounding_box()
    assert box["x"] + box["width"] <= 1280


def test_the_summarys_head_breaks_no_word(page: Any, tmp_path: Path) -> None:
    placed = [place(one(task, "dp3"), tmp_path / "records") for task in ("disassemble", "peg-unplug-side", "reach")]
    page.goto(build(placed, [], [], tmp_path / "report").as_uri())
    for head in page.locator("#heat thead th:not(.word)").all():
        word = max(head.inner_text().replace("\n", "").split("-"), key=len)
        wide, room = head.evaluate(
            """(th, word) => {
              const span = Object.assign(document.createElement("span"), { textContent: word });
              span.style.whiteSpace = "nowrap";
              const room = th.clientWidth;
              th.append(span);
              return [span.offsetWidth, room];
            }""",
            word,
        )
        assert wide <= room, word


def test_it_prints(page: Any, report: tuple[Path, str], tmp_path: Path) -> None:
    page.goto(report[0].as_uri())
    printed = page.pdf(path=tmp_path / "report.pdf", format="A4", landscape=True)
    assert printed.startswith(b"%PDF") and len(printed) > 30_000
    page.emulate_media(media="print")
    assert not page.locator("#filters").is_visible() and page.locator("#list tbody tr").first.is_visible()


@pytest.mark.slow
def test_two_thousand_cells_are_sorted_in_about_the_time_they_are_drawn(page: Any, tmp_path: Path) -> None:
    """Against a floor in the same browser: putting as many plain rows into a table."""
    placed = [place(one("reach", "dp3", seed=seed), tmp_path / "records") for seed in range(50)]
    many = [(path, dataclasses.replace(r, task=f"task-{n}")) for n in range(40) for path, r in placed]
    page.goto(build(many, [], [], tmp_path / "r").as_uri())
    assert page.locator("#count").inner_text() == "2000 of 2000"
    page.locator("#more").click()
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
        return [a, time(() => document.querySelectorAll("#list thead button")[6].click())];
        }"""
    )
    assert sort < 8 * floor, (sort, floor)
