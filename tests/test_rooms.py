"""The house's one rule: a room imports only rooms before it."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "anr_core"
LINE = [
    ["launch", "telling"],
    ["processes"],
    ["camera", "pretrained", "skeleton", "threads"],
    ["body"],
    ["rasterizer"],
    ["texture", "renderer", "gaussians", "volume", "losses", "lifting"],
    ["parts"],
    ["capture"],
    ["avatars"],
    ["metrics", "layers"],
    ["training"],
    ["evaluation"],
    ["prepare", "motion"],
    ["export", "bench"],
    ["viewer"],
    ["notebook"],
    ["cli"],
]
RANK = {room: rank for rank, rooms in enumerate(LINE) for room in rooms}


def imported_rooms(file):
    """Rooms that a file imports, wherever in it: inside functions too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively; write the full name"
            names = [node.module] if node.module != "anr_core" else [f"anr_core.{a.name}" for a in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in names if name.startswith("anr_core."))


def test_every_room_imports_only_rooms_before_it():
    wrong = []
    for file in sorted(PACKAGE.rglob("*.py")):
        room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room in ("__init__", "__main__"):  # the front doors see all rooms
            continue
        assert room in RANK, f"{room} has no place in the line of rooms"
        wrong += [f"{file.relative_to(PACKAGE)} imports {other}" for other in imported_rooms(file)
                  if other != room and RANK[other] >= RANK[room]]
    assert not wrong, "; ".join(wrong)
