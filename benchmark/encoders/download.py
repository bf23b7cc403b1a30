"""Weight files from their publishers: with a bar, resumed after a stop, verified, never half there."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from pathlib import Path

from benchmark.system.files import StorageError, explain, write_json
from benchmark.system.progress import bar, say
from envs.errors import UserError
from methods.card import WeightFile
from methods.errors import BadWeights
from methods.weights import check, sha256

CHUNK = 1 << 20


class FetchFailed(UserError, RuntimeError):
    """The publisher could not be reached or answered with something else."""


def fetch(file: WeightFile, target: Path) -> None:
    """Download to `target`. What a stopped download left in `target.part` is continued.

    The file is checked against the card's sha256 and size, or against the checksum that the server states; a file
    that fails is deleted. Its own sha256 is kept beside it. Raises `FetchFailed` or `BadWeights`.
    """
    assert file.url is not None
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    stated = _download(file.url, part, target.name)
    try:
        check(part, file)
        if stated is not None and sha256(part) != stated:
            raise BadWeights(f"{target.name} has sha256 {sha256(part)}, the server states {stated}")
    except BadWeights:
        part.unlink()
        raise
    os.replace(part, target)
    write_json(target.with_name(target.name + ".json"), {"url": file.url, "sha256": sha256(target)})


def _download(url: str, part: Path, title: str) -> str | None:
    """Append what is missing to `part`; returns the sha256 the server states, if it does."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "repbench"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            if "text/html" in response.headers.get("Content-Type", ""):
                raise FetchFailed(f"{url} answered with a web page, not a file: open it in a browser, then use --dir")
            if have and response.status != 206:
                have = 0  # the server cannot resume
            length = response.headers.get("Content-Length")
            total = have + int(length) if length else 0
            stated = _stated_sha256(response.headers.get("X-Linked-Etag") or response.headers.get("ETag"))
            mega = 1e6
            with (
                explain(part),
                part.open("ab" if have else "wb") as out,
                bar(f"fetch {title} (MB)", round(total / mega), round(have / mega)) as advance,
            ):
                counted = round(have / mega)
                while block := response.read(CHUNK):
                    out.write(block)
                    have += len(block)
                    advance(round(have / mega) - counted)
                    counted = round(have / mega)
                out.flush()
                os.fsync(out.fileno())
            if total and have < total:
                raise FetchFailed(f"{url} stopped at {have:,} of {total:,} bytes; the same command goes on from there")
            return stated
    except urllib.error.HTTPError as error:
        if error.code == 416 and have:
            return None  # everything is there already
        raise FetchFailed(f"{url}: {error.code} {error.reason}{_mend(error.code)}") from error
    except StorageError:
        raise
    except (urllib.error.URLError, OSError) as error:
        raise FetchFailed(
            f"cannot reach {url} ({getattr(error, 'reason', error)}). Without internet here, bring the file and use "
            "--dir FOLDER; a download that was stopped goes on with the same command"
        ) from error


def _mend(code: int) -> str:
    return (
        " (the publisher asks for a login: fetch it in a browser, then use --dir FOLDER)" if code in (401, 403) else ""
    )


def _stated_sha256(tag: str | None) -> str | None:
    """Hugging Face states a large file's sha256 as its entity tag."""
    tag = (tag or "").strip('W/"')
    return tag if re.fullmatch(r"[0-9a-f]{64}", tag) else None


def announce(name: str, file: WeightFile) -> None:
    """Say what is about to be fetched; a non-commercial licence before anything else."""
    if file.non_commercial:
        say(f"NON-COMMERCIAL: {name}'s weights are under {file.licence}; fetching them, you accept that")
    say(f"{name}: {file.url} ({file.licence}{'; ' + file.note if file.note else ''})")
