"""Makes each notebook's .ipynb out of its .py, which is the source; and writes the project's address anew.

    python -m notebooks.pairing                      all .ipynb files
    python -m notebooks.pairing owner/name           the address first, in notebooks, README and package
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import jupytext
import nbformat

from anr_core.notebook import REPOSITORY, ROOT

FOLDER = ROOT / "notebooks"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
ADDRESSED = ("README.md", "anr_core/notebook/setting_up.py", "pyproject.toml")


def sources() -> list[Path]:
    return sorted(FOLDER.glob("[0-9]*_*.py"))


def paired(source: Path) -> str:
    """The text of the .ipynb of a .py in percent format, without outputs; the same one every time."""
    notebook = jupytext.read(source)
    for place, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{place:02d}"
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"},
                         "colab": {"provenance": []}, "accelerator": "GPU"}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return nbformat.writes(notebook) + "\n"


def move(repository: str) -> None:
    """Write another address everywhere."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise ValueError(f"{repository!r} is no address of a repository; write owner/name.")
    for file in [*(ROOT / name for name in ADDRESSED), *sources()]:
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace(REPOSITORY, repository), encoding="utf-8")


def main(arguments: list[str]) -> None:
    if arguments:
        move(arguments[0])
    for source in sources():
        source.with_suffix(".ipynb").write_text(paired(source), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
