"""The container of a .glb file: a tree of JSON, and the bytes that its accessors point into.

    glb = Container()
    glb.tree["meshes"] = [{"primitives": [{"attributes": {"POSITION": glb.array(positions, bounds=True)}}]}]
    content = glb.content()

glTF 2.0, sections 3.6 (accessors, sparse ones, alignment) and 4.4 (GLB).
"""

from __future__ import annotations

import json
import struct

import numpy as np

COMPONENTS = {"float32": 5126, "uint8": 5121, "uint16": 5123, "uint32": 5125}
VERTICES, INDICES = 34962, 34963  # what a buffer view is bound as


class Container:
    """What is to be in the file; `tree` is filled by the caller, all but its buffers and accessors."""

    def __init__(self):
        self.tree, self.blob, self.views, self.accessors = {}, bytearray(), [], []

    def view(self, data: bytes, target: int | None = None) -> int:
        """The index of a buffer view of these bytes."""
        self.blob += bytes(-len(self.blob) % 4)
        bound = {} if target is None else {"target": target}
        self.views.append({"buffer": 0, "byteOffset": len(self.blob), "byteLength": len(data), **bound})
        self.blob += data
        return len(self.views) - 1

    def array(self, values: np.ndarray, target: int | None = None, bounds: bool = False) -> int:
        """The index of an accessor of values (N,), (N, 2), (N, 3), (N, 4) or matrices (N, 4, 4).

        bounds  it says between which values they lie, as positions and times must
        """
        values = np.ascontiguousarray(values)
        kind = "SCALAR" if values.ndim == 1 else f"VEC{values.shape[1]}" if values.ndim == 2 else "MAT4"
        stored = values.transpose(0, 2, 1) if kind == "MAT4" else values  # glTF's matrices go by columns
        accessor = {"bufferView": self.view(stored.tobytes(), target), "type": kind, "count": len(values),
                    "componentType": COMPONENTS[values.dtype.name]}
        if bounds:
            table = values.reshape(len(values), -1)
            accessor |= {"min": table.min(0).tolist(), "max": table.max(0).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def sparse(self, values: np.ndarray) -> int:
        """The index of an accessor of values (N, 3); if few of them aren't 0, only these are stored."""
        rows = values.any(1).nonzero()[0].astype(np.uint32)
        if rows.nbytes + values[rows].nbytes > values.nbytes:
            return self.array(values, VERTICES, bounds=True)
        self.accessors.append({
            "type": "VEC3", "count": len(values), "componentType": COMPONENTS["float32"],
            "min": values.min(0).tolist(), "max": values.max(0).tolist(),
            "sparse": {"count": len(rows),
                       "indices": {"bufferView": self.view(rows.tobytes()),
                                   "componentType": COMPONENTS["uint32"]},
                       "values": {"bufferView": self.view(values[rows].astype(np.float32).tobytes())}}})
        return len(self.accessors) - 1

    def content(self) -> bytes:
        """The file."""
        blob = bytes(self.blob) + bytes(-len(self.blob) % 4)
        tree = self.tree | {"accessors": self.accessors, "bufferViews": self.views,
                            "buffers": [{"byteLength": len(blob)}]}
        text = json.dumps(tree, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 4)
        chunks = b"".join(struct.pack("<I4s", len(chunk), name) + chunk
                          for name, chunk in ((b"JSON", text), (b"BIN\0", blob)))
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
