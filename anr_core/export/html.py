"""An avatar as a page: one file, opened from disk, that draws the person under sliders without a network.

The page skins, rasterizes and samples with WebGL2, and runs the networks with ONNX Runtime, on WebGPU where
the browser has it and else on WebAssembly. The static texture is its first picture, and stays where networks
can't run. `page/` beside this file holds what it is made of.
"""

from __future__ import annotations

import html
import math
import re
from pathlib import Path

from anr_core.avatars.base import Avatar
from anr_core.avatars.run import Run, write_atomically
from anr_core.body.anny import AnnyBody
from anr_core.export.graph import onnx_package
from anr_core.export.handing import Wishes, notice
from anr_core.export.page.looks import looks, static_looks
from anr_core.export.page.networks import BLOCK, model_of, stride_of
from anr_core.export.page.packing import packed, packed_text, segment, text_of
from anr_core.export.page.person import person
from anr_core.export.page.playing import moved, recorded, thinned

SYSTEMS = ("anr", "deferred", "static")
FARTHEST = 1.5  # times larger or smaller than trained: networks draw nothing good beyond
MESHES = 240  # of a body without joints in the page, at the most: 40 kB each of SMPL's


def check(run: Run, wishes: Wishes) -> None:
    """Raise, in one line, where a run can't become a page.

    ValueError for its system or a wish, FileNotFoundError where its meshes or the packed viewer are missing,
    ImportError without the package onnx.
    """
    system = run.config.system
    if system not in SYSTEMS:
        raise ValueError(f"{run.path} is a {system} run, and a page draws textures on meshes: "
                         f"{', '.join(SYSTEMS)}. Make a video of it: python -m anr_core render")
    if run.paired:
        raise ValueError(f"{run.path} was trained on pairs of pictures and has no body to pose.")
    for name, given in (("shapes", wishes.shapes), ("sampled", wishes.sampled)):
        if given:
            raise ValueError(f"--{name} says nothing of a page; leave it out.")
    trained = run.config.size
    if wishes.size is not None and not trained / FARTHEST <= wishes.size <= FARTHEST * trained:
        raise ValueError(f"A page can't draw {wishes.size} pixels with networks trained for {trained}: give "
                         f"--size {math.ceil(trained / FARTHEST)} to {int(trained * FARTHEST)}.")
    if run.body is None and wishes.motion is not None:
        raise ValueError(f"{run.path} has registered meshes and no joints, so no motion can move it; leave "
                         "--motion out, and the page plays the film's own meshes.")
    if run.body is None:
        run.capture()  # which holds the meshes
    packed("viewer.js")
    if system != "static":
        onnx_package()


def write(run: Run, out: Path, wishes: Wishes) -> list[str]:
    """Write the page; returns what is worth knowing of it."""
    avatar = run.avatar()
    played = recorded(run, avatar) if wishes.motion is None else moved(run, avatar, wishes.motion, wishes.up)
    if meshes := not isinstance(played.body, AnnyBody):  # other models' files may not be passed on
        played = thinned(played, MESHES)
    weak = run.config.projection == "weak"
    told, arrays = person(played.body, avatar.surface, played, avatar.up)
    learned = run.config.system != "static"
    stride = stride_of(avatar) if learned else BLOCK
    size = stride * max(1, round((wishes.size or run.config.size) / stride))
    told |= {"weak": weak, "system": run.config.system, "size": size,
             "stride": stride, "name": run.person, "notice": notice(run)}
    early = {"person": segment(told, arrays), "still": segment(*static_looks(run.static()[0]))}
    late = {} if not learned else {
        "looks": segment(*looks(avatar)), "model": text_of(model_of(avatar)),
        "worker": packed_text("worker.js"), "runtime": packed_text("runtime.wasm")}
    content = _page(run, avatar, early, late)
    write_atomically(out, content)
    return [f"{len(content) / 1e6:.1f} MB; plays {played.name}, {len(played.poses)} poses",
            *["meshes without joints: sliders for the view alone"] * meshes]


def _page(run: Run, avatar: Avatar, early: dict[str, str], late: dict[str, str]) -> bytes:
    """The viewer's HTML around the segments; the early ones stand before its script, which draws of them."""
    def told(segments):  # the mark behind one says that the browser has read all of it
        return "\n".join(f'<script type="text/plain" id="{name}">{text}</script>'
                         f'<i id="after-{name}" hidden></i>' for name, text in segments.items())

    script = packed("viewer.js").decode().replace("</script", "<\\/script")
    name = run.person or run.path.name
    filled = {"title": html.escape(name), "style": packed("page.css").decode(),
              "notice": html.escape(notice(run)), "licences": html.escape(packed("licences.txt").decode()),
              "about": html.escape(f"An avatar made with anr_core, system {run.config.system}."),
              "segments": f"{told(early)}\n<script>{script}</script>\n{told(late)}"}
    # in one go: what a name or a licence says is not looked through for places to fill
    return re.sub(r"{{(\w+)}}", lambda place: filled[place[1]], packed("page.html").decode()
                  ).encode(errors="replace")
