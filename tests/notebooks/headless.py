"""Running a notebook without a browser, with other parameters than its own."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[2]


def notebook(name: str, **parameters) -> nbformat.NotebookNode:
    """A notebook whose cell of parameters is followed by others."""
    made = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    place = next(index for index, cell in enumerate(made.cells)
                 if "parameters" in cell.metadata.get("tags", []))
    lines = "\n".join(f"{name} = {value!r}" for name, value in parameters.items())
    made.cells.insert(place + 1, nbformat.v4.new_code_cell(lines))
    return made


def run(made: nbformat.NotebookNode, python: str | None = None) -> nbformat.NotebookNode:
    """Run all cells, opened where notebooks lie; raises CellExecutionError where one fails.

    python  whose kernel to use, if not this one's
    """
    client = NotebookClient(made, timeout=600, kernel_name="python3",
                            resources={"metadata": {"path": str(ROOT / "notebooks")}})
    if python is not None:
        client.create_kernel_manager()
        client.km.kernel_spec.argv[0] = python
    client.execute()
    return made


def said(made: nbformat.NotebookNode) -> str:
    """All text under the cells."""
    words = []
    for cell in made.cells:
        for output in cell.get("outputs", []):
            words.append(output.get("text", "") or str(output.get("data", {}).get("text/html", ""))
                         or str(output.get("data", {}).get("text/plain", "")))
    return "\n".join(words)


def kinds(made: nbformat.NotebookNode) -> list[str]:
    """The kinds of everything that is shown."""
    return [kind for cell in made.cells for output in cell.get("outputs", [])
            for kind in output.get("data", {})]
