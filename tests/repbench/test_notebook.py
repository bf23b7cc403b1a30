"""docs/notebook.ipynb runs from top to bottom: in a kernel where nbclient is, else as one script."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "docs" / "notebook.ipynb"
CELLS = json.loads(NOTEBOOK.read_text())["cells"]
SOURCES = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]
KERNEL = all(importlib.util.find_spec(name) is not None for name in ("nbclient", "nbformat", "ipykernel"))
LAST = "print(together[together['kind'] == 'retest'][['method', 'n']].to_csv(index=False))"
IN_KERNEL = """
import sys, nbclient, nbformat
book = nbformat.read(sys.argv[1], as_version=4)
nbformat.validate(book)
book.cells.append(nbformat.v4.new_code_cell(sys.argv[2]))
nbclient.NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": "."}}).execute()
images = [out for cell in book.cells for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
assert len(images) == 1, "the plot is shown"
print("".join(out["text"] for out in book.cells[-1].outputs if out.get("name") == "stdout"))
"""


@pytest.mark.slow
@pytest.mark.sim
@pytest.mark.gl
@pytest.mark.parametrize("way", ["in a kernel", "as a script"])
def test_it_runs(way: str, tmp_path: Path) -> None:
    if (way == "in a kernel") != KERNEL:
        pytest.skip("it is run in a kernel" if KERNEL else "no nbclient and ipykernel: `make docs` installs them")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLCONFIGDIR": str(tmp_path)}
    if KERNEL:
        command = [sys.executable, "-c", IN_KERNEL, str(NOTEBOOK), LAST]
    else:
        command = [sys.executable, "-c", "\n".join([*SOURCES, LAST])]
        environment["MPLBACKEND"] = "agg"
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line.split(",") for line in done.stdout.split() if "," in line]
    assert [row[0].split("/")[-1] for row in rows[-3:]] == ["method", "mine", "state"], done.stdout
    assert [row[1] for row in rows[-2:]] == ["4", "4"]


def test_it_carries_no_outputs() -> None:
    """What a cell shows is made where it is run; kept outputs would go stale."""
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in CELLS if "outputs" in cell)
    assert "docs/notebook.ipynb" not in json.dumps(CELLS) and str(ROOT) not in NOTEBOOK.read_text()
