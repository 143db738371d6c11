"""Arrays and words as one segment of a page, and the packed files of the viewer.

A segment is gzip, in base64, of: the header's length (uint32, little-endian), the header (JSON, padded to
eight bytes), then the arrays at the offsets that the header tells. Browsers unpack gzip by themselves.
"""

from __future__ import annotations

import base64
import gzip
import json
import lzma
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parent
EIGHT = 8  # bytes: no array in a browser may begin elsewhere than at a multiple of what it counts in


def segment(told: Mapping, arrays: Mapping[str, np.ndarray | torch.Tensor]) -> str:
    """Words (whatever JSON takes) and arrays by name as text of an HTML file."""
    content, places = b"", {}
    for name, array in arrays.items():
        array = np.ascontiguousarray(array.cpu().numpy() if torch.is_tensor(array) else array)
        places[name] = {"kind": array.dtype.name, "shape": array.shape, "start": len(content)}
        content += _padded(array.tobytes())
    header = _padded(json.dumps({"told": told, "arrays": places}).encode(), space=b" ", before=4)
    return text_of(len(header).to_bytes(4, "little") + header + content)


def text_of(content: bytes) -> str:
    """Bytes as the page unpacks them."""
    return base64.b64encode(gzip.compress(content, 6, mtime=0)).decode()


@lru_cache
def packed_text(name: str) -> str:
    """A file of the viewer as the page unpacks it; the runtime takes two seconds, and is in every page."""
    return text_of(packed(name))


def packed(name: str) -> bytes:
    """A file of the viewer, unpacked.

    Raises FileNotFoundError where it was not packed yet.
    """
    file = FOLDER / f"{name}.xz"
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing. In a checkout, pack the page's viewer with: make page")
    return lzma.decompress(file.read_bytes())


def _padded(content, space=b"\0", before=0):
    return content + space * (-(before + len(content)) % EIGHT)
