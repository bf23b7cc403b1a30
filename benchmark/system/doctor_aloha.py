"""`bench doctor aloha`: whether aloha_sim's files are whole, file by file."""

from __future__ import annotations

from benchmark.system.doctor import Finding
from envs.aloha import checkout
from envs.aloha.options import read_options


def examine_aloha() -> list[Finding]:
    """The checkout of aloha_sim, its files by their hashes, and what would be put in the place of missing ones."""
    root = checkout.root_named()
    try:
        found = checkout.examine(root)
    except checkout.NoCheckout as error:
        return [
            Finding("aloha_sim", "fail", str(error), "bench fetch aloha   # or env.aloha.root=DIR, $REPBENCH_ALOHA")
        ]
    total = len(checkout.table())
    lost = [path for path in found.missing if path not in checkout.REPLACEABLE]
    findings = []
    if not (found.missing or found.changed):
        said = f"{total} files at {root} are those of {checkout.COMMIT[:8]} (content {found.content})"
        findings.append(Finding("aloha_sim", "ok", said))
    if found.changed:
        said = f"{len(found.changed)} of {total} files at {root} are not those of {checkout.COMMIT[:8]}: "
        mend = f"git -C {root} checkout {checkout.COMMIT} -- ."
        findings.append(Finding("changed", "fail", said + ", ".join(found.changed), mend))
    if lost:
        mend = f"git -C {root} checkout {checkout.COMMIT} -- ."
        findings.append(Finding("missing", "fail", f"{len(lost)} of {total} files: {', '.join(lost)}", mend))
    if found.replaced:
        gone = [path for path in found.missing if path in checkout.REPLACEABLE]
        said = f"visual meshes: {', '.join(gone)}"
        if read_options().stand_ins:
            findings.append(Finding("stand-ins", "warn", f"{said}; shapes are in their place, as records say"))
        else:
            mend = "bench fetch aloha   # or env.aloha.stand_ins=true: shapes in their place, named in every record"
            findings.append(Finding("missing", "fail", said, mend))
    return findings
