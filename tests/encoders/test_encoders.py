"""`bench weights` and `bench verify`: downloads that stop, files that are wrong, certificates that differ."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from typer.testing import CliRunner

from benchmark.cli.main import app
from benchmark.encoders.certificates import certificates_table, verify
from benchmark.encoders.download import FetchFailed, fetch
from benchmark.encoders.specs import encoder_specs
from methods.base import Representation
from methods.card import ImageInput, WeightFile
from methods.errors import BadWeights
from methods.registry import method_class
from methods.verify import certificate, compare
from tests.methods.test_contract import TINY_VGGT

CONTENT = bytes(range(256)) * 20_000
SHA = hashlib.sha256(CONTENT).hexdigest()


class Publisher(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT with ranges; `cut` stops after so many bytes once, `tag` is its entity tag."""

    cut: ClassVar[int | None] = None
    tag: ClassVar[str | None] = None
    page: ClassVar[bool] = False
    ranges: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        Publisher.ranges.append(asked)
        if self.path != "/file":
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[start:]
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "text/html" if Publisher.page else "application/octet-stream")
        if Publisher.tag:
            self.send_header("X-Linked-Etag", f'"{Publisher.tag}"')
        self.end_headers()
        cut, Publisher.cut = Publisher.cut, None
        self.wfile.write(body[:cut])

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Publisher.cut, Publisher.tag, Publisher.page, Publisher.ranges = None, None, False, []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Publisher)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/file"
    server.shutdown()
    server.server_close()


def test_a_fetch_is_whole_and_keeps_what_it_found(url: str, tmp_path: Path) -> None:
    target = tmp_path / "m" / "model.pt"
    fetch(WeightFile("model.pt", url, "MIT", sha256=SHA, size=len(CONTENT)), target)
    assert target.read_bytes() == CONTENT
    assert json.loads((tmp_path / "m" / "model.pt.json").read_text()) == {"url": url, "sha256": SHA}
    assert not list(tmp_path.rglob("*.part"))


def test_a_stopped_fetch_goes_on_where_it_stopped(url: str, tmp_path: Path) -> None:
    Publisher.cut = 1_500_000
    target = tmp_path / "model.pt"
    with pytest.raises(FetchFailed, match=r"the same command goes on|cannot reach"):
        fetch(WeightFile("model.pt", url, "MIT", sha256=SHA), target)
    assert not target.exists()
    assert (tmp_path / "model.pt.part").stat().st_size == 1_500_000
    fetch(WeightFile("model.pt", url, "MIT", sha256=SHA), target)
    assert Publisher.ranges == [None, "bytes=1500000-"]
    assert target.read_bytes() == CONTENT


def test_a_whole_part_that_was_never_renamed_is_taken(url: str, tmp_path: Path) -> None:
    (tmp_path / "model.pt.part").write_bytes(CONTENT)
    fetch(WeightFile("model.pt", url, "MIT", sha256=SHA), tmp_path / "model.pt")
    assert (tmp_path / "model.pt").read_bytes() == CONTENT


@pytest.mark.parametrize("how", ["card", "server", "size"])
def test_a_wrong_file_is_thrown_away(url: str, tmp_path: Path, how: str) -> None:
    file = WeightFile(
        "model.pt", url, "MIT", sha256="0" * 64 if how == "card" else None, size=3 if how == "size" else None
    )
    Publisher.tag = "1" * 64 if how == "server" else None
    with pytest.raises(BadWeights):
        fetch(file, tmp_path / "model.pt")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_fetched_says_what_to_do(url: str, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed, match="404"):
        fetch(WeightFile("m", url + "x", "MIT"), tmp_path / "m")
    with pytest.raises(FetchFailed, match="--dir FOLDER"):
        fetch(WeightFile("m", "http://127.0.0.1:9/m", "MIT"), tmp_path / "m")
    Publisher.page = True
    with pytest.raises(FetchFailed, match="web page"):
        fetch(WeightFile("m", url, "MIT"), tmp_path / "m")


@pytest.mark.slow
def test_the_verb_says_what_is_here_and_warns_of_licences(url: str, tmp_path: Path, monkeypatch: Any) -> None:
    kind = method_class("vc1")
    file = WeightFile("vc1_vitb.pth", url, "CC-BY-NC-4.0", non_commercial=True)
    monkeypatch.setattr(kind, "card", dataclasses.replace(kind.card, weights=(file,)))
    run = CliRunner().invoke(app, ["weights", "vc1", "--dir", str(tmp_path), "--json"])
    assert json.loads(run.stdout)[0]["status"] == "absent"
    run = CliRunner().invoke(app, ["weights", "vc1", "--dir", str(tmp_path), "--fetch"])
    assert run.exit_code == 0
    assert run.stderr.index("NON-COMMERCIAL") < run.stderr.index("fetch vc1_vitb.pth")
    assert "here, unverified" in run.stdout
    (tmp_path / "vc1" / "vc1_vitb.pth").rename(tmp_path / "vc1_vitb.pth")  # brought without the method's folder
    run = CliRunner().invoke(app, ["weights", "vc1", "--dir", str(tmp_path), "--json"])
    assert json.loads(run.stdout)[0]["sha256"] == SHA


@pytest.mark.slow
def test_a_certificate_agrees_with_itself_and_sees_other_weights(tmp_path: Path) -> None:
    first, again = (verify("random-features", None, tmp_path, {}) for _ in range(2))
    assert first == again
    assert first["passed"]
    assert compare(first, again) == []
    kind = method_class("random-features")
    torch.manual_seed(5)
    other = certificate(kind(encoder_specs(kind.card)), encoder_specs(kind.card))
    assert "and so do the weights" in compare(first, other)[0]
    assert compare(first, verify("dp3", None, tmp_path, {}))[0].startswith("method")


def verdicts(kind: type[Representation]) -> dict[str, str]:
    torch.manual_seed(0)
    specs = encoder_specs(kind.card)
    return {check["name"]: check["verdict"] for check in certificate(kind(specs), specs)["checks"]}


@pytest.mark.slow
def test_a_certificate_finds_what_public_code_got_wrong() -> None:
    vggt = method_class(TINY_VGGT)
    assert verdicts(vggt)["frozen"] == "ok"
    assert verdicts(vggt)["pixel range"] == "ok"

    class MovingStatistics(vggt):  # type: ignore[misc, valid-type]
        def train(self, mode: bool = True) -> Representation:
            super().train(mode)
            self.trunk.train(mode)
            return self

    class Saturated(vggt):  # type: ignore[misc, valid-type]
        card = dataclasses.replace(vggt.card, input=ImageInput(224, (0, 1), (0.5,) * 3, (1e-6,) * 3))

    class Batched(vggt):  # type: ignore[misc, valid-type]
        def encode(self, observations: Any) -> torch.Tensor:
            return super().encode(observations) + observations["rgb"].float().mean()

    class Drawn(vggt):  # type: ignore[misc, valid-type]
        def encode(self, observations: Any) -> torch.Tensor:
            return super().encode(observations) + torch.rand(())

    assert verdicts(MovingStatistics)["frozen"] == "fail"
    assert verdicts(Saturated)["pixel range"] == "fail"
    assert verdicts(Batched)["batch independent"] == "fail"
    assert verdicts(Drawn)["deterministic"] == "fail"


@pytest.mark.slow
def test_the_verb_keeps_the_certificate_and_compares(tmp_path: Path) -> None:
    arguments = ["verify", "random-features", "--out", str(tmp_path)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    (kept,) = tmp_path.rglob("*.json")
    assert CliRunner().invoke(app, [*arguments, "--against", str(kept)]).exit_code == 0
    changed = json.loads(kept.read_text())
    changed["features"]["first"][0] += 1
    changed["torch"] = "2.2.1"
    (tmp_path / "other.json").write_text(json.dumps(changed))
    run = CliRunner().invoke(app, [*arguments, "--against", str(tmp_path / "other.json")])
    assert run.exit_code == 1
    assert "with equal weights (torch" in run.stderr
    table = certificates_table([changed, {"method": "vggt", "skipped": "no package"}])
    assert len({len(row) for row in (table.columns, *table.rows)}) == 1
