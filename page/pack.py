"""Pack the page's viewer, built by `npm run build`, as the package's data: python -m page.pack"""

from __future__ import annotations

import hashlib
import lzma
from pathlib import Path

HERE = Path(__file__).parent
FOLDER = HERE.parent / "anr_core" / "export" / "page"
SOURCES = ("src/*.ts", "page.html", "page.css", "licences.txt", "build.mjs", "package.json",
           "package-lock.json", "tsconfig.json")
BUILT = {"viewer.js": "dist/viewer.js", "worker.js": "dist/worker.js", "runtime.wasm": "dist/runtime.wasm",
         "licences.txt": "dist/licences.txt", "page.html": "page.html", "page.css": "page.css"}


def digest() -> str:
    """Of all that the packed files are made of."""
    found = hashlib.sha256()
    for file in sorted(file for pattern in SOURCES for file in HERE.glob(pattern)):
        found.update(f"{file.relative_to(HERE).as_posix()}\0".encode())
        found.update(file.read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return found.hexdigest()


def pack() -> None:
    """Write the packed files, and what they were made of."""
    for name, source in BUILT.items():
        content = lzma.compress((HERE / source).read_bytes(), preset=9 | lzma.PRESET_EXTREME)
        (FOLDER / f"{name}.xz").write_bytes(content)
        print(f"{name}: {len(content) / 1e6:.2f} MB")
    (FOLDER / "sources.sha256").write_text(digest() + "\n")


if __name__ == "__main__":
    pack()
