"""The verbs by what they are for, as `bench --help` lists them."""

from __future__ import annotations

GROUPS: dict[str, tuple[str, ...]] = {
    "Run": ("run", "collect", "import", "features", "new"),
    "Look": ("list", "show", "table", "report", "export", "hub", "shrink"),
    "Compare": ("compare", "plan", "spread", "ledger"),
    "Pre-train": ("pretrain", "retrieval", "attention", "suite"),
    "Cluster": ("sweep", "status", "cancel", "retry", "logs"),
    "Check": ("doctor", "fetch", "audit", "weights", "verify", "perf", "migrate"),
}
FIRST = "bench run --suite metaworld-15 --tasks reach --method dp3 --protocol quick"
"""What to type first: it learns and scores a task within minutes."""


def summary(text: str | None) -> str:
    """The first sentence of a verb's help, in one line."""
    paragraph = " ".join((text or "").split("\n\n")[0].split())
    return paragraph.split(". ")[0].rstrip(".")
