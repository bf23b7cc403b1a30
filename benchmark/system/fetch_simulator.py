"""Get a simulator's files from where they are published, at the commit that is pinned: whole, or not at all."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from benchmark.system.errors import ConfigError
from benchmark.system.progress import say
from envs.aloha import checkout
from envs.errors import UserError

PATIENCE = 1800
"""Seconds for one command of git; aloha_sim has some 100 MB."""


class CloneFailed(UserError, RuntimeError):
    """git is not there, the publisher cannot be reached, or has not the commit."""


def fetch_aloha(root: Path | None = None, url: str = checkout.URL) -> Path:
    """Clone the pinned commit of aloha_sim to `root`, or to where it is looked for; a whole one that is there is kept.

    Raises `ConfigError` for a folder that holds something else, and `CloneFailed`.
    """
    target = root or checkout.root_named()
    checkout.forget()
    if target.exists() and any(target.iterdir() if target.is_dir() else [target]):
        try:
            checkout.usable(target, stand_ins=False)
        except checkout.NoCheckout as error:
            raise ConfigError(f"{target} is there and is no whole aloha_sim ({error}); move it away first") from error
        return target
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    say(f"cloning {url} at {checkout.COMMIT[:8]} to {target}")
    try:
        _git(part, "init", "--quiet")
        _git(part, "fetch", "--quiet", "--depth", "1", url, checkout.COMMIT)
        _git(part, "checkout", "--quiet", "FETCH_HEAD")
        checkout.usable(part, stand_ins=False)
        if target.exists():
            target.rmdir()
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        checkout.forget()
    return target


def _git(folder: Path, *arguments: str) -> None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=PATIENCE)
    except FileNotFoundError:
        raise CloneFailed("git is not installed: sudo apt-get install -y git") from None
    except subprocess.TimeoutExpired:
        raise CloneFailed(f"git {arguments[0]} took longer than {PATIENCE} s; try again") from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise CloneFailed(
            f"git {arguments[0]} failed ({said[-1] if said else done.returncode}); where there is no internet, copy a "
            f"clone of {checkout.URL} at {checkout.COMMIT[:8]} here and name it by env.aloha.root=DIR or "
            "$REPBENCH_ALOHA"
        )
