"""Every parser, fed with damaged files for as long as you like.

    python -m benchmarks.fuzz [--minutes 30] [--seed 0] [--only NAME,NAME] [--keep DIR]

Each parser (tests/fuzz/parsers.py) in turn reads small sources of which some files were damaged, and has to
keep the claim of tests/fuzz/claim.py: a reading, or a ValueError, OSError or ImportError of one clear line;
no other exception, no hang, no memory beyond what its files hold. What breaks it is printed once for each
place, and the damaged source stays in DIR. A process that is killed by its input leaves that in DIR/now.

Exit code 1 if anything was found.
"""

from __future__ import annotations

import argparse
import faulthandler
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.claim import SECONDS, broken
from tests.fuzz.damage import damage_folder
from tests.fuzz.parsers import PARSERS

ROUND = 15  # sources that are made of one seed
TURN = 4.0  # seconds of one parser, before it is the next one's turn: some take a second for a source


def main() -> int:
    """Go round the parsers until the time is over, and print what was found."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--minutes", type=float, default=30)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", default=",".join(PARSERS), help="parsers, comma-separated")
    options.add_argument("--keep", type=Path, default=Path("fuzzed"), help="where damaged sources are kept")
    chosen = options.parse_args()
    torch.set_num_threads(1)
    faulthandler.enable()
    names, end = chosen.only.split(","), time.monotonic() + 60 * chosen.minutes
    shutil.rmtree(chosen.keep, ignore_errors=True)
    wholes = {name: made(name, chosen.keep / "whole" / name) for name in names}
    counts, found, turn = Counter(), {}, chosen.seed * 1_000_003
    while time.monotonic() < end:
        for name in names:
            until = min(end, time.monotonic() + TURN)
            while time.monotonic() < until:
                _round(name, wholes[name], turn, chosen.keep, counts, found)
                turn += 1
    for name in names:
        print(f"{name:<22}{counts[name]:>8} sources, {counts[name, 'refused']:>8} refused", flush=True)
    print(f"{sum(counts[name] for name in names)} sources, {len(found)} findings, seed {chosen.seed}")
    return 1 if found else 0


def made(name: str, folder: Path) -> list[Path]:
    """A parser's whole sources, each of which it reads as it is."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    PARSERS[name].make(folder / "each")
    sources = sorted((folder / "each").iterdir())
    for source in sources:
        PARSERS[name].read(source)
    return sources


def _round(name, sources, turn, keep, counts, found):
    parser, now = PARSERS[name], keep / "now"

    @seed(turn)
    @settings(max_examples=ROUND, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(st.data(), st.sampled_from(sources))
    def one(data, source):
        shutil.rmtree(now, ignore_errors=True)
        folder = shutil.copytree(source, now / source.name, symlinks=True)
        damage_folder(data.draw, folder, parser.rarely)
        faulthandler.dump_traceback_later(3 * SECONDS, exit=True)  # a hang where no signal arrives
        wrong = broken(lambda: counts.update({(name, "refused"): 1}) or parser.read(folder)
                       or counts.update({(name, "refused"): -1}), str(folder) if parser.named else "")
        faulthandler.cancel_dump_traceback_later()
        counts[name] += 1
        place = (name, wrong and wrong.splitlines()[0].partition(":")[0], wrong and wrong.splitlines()[-1])
        if wrong and place not in found:
            found[place] = shutil.copytree(now, keep / f"{name}-{turn}-{len(found)}", symlinks=True)
            print(f"{name}: {found[place]}: {wrong}", flush=True)

    one()


if __name__ == "__main__":
    sys.exit(main())
