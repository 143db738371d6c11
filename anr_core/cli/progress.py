"""What a training tells on the way, and when it is done."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from anr_core.launch import speaks


def write_videos(path: Path) -> bool:
    """Draw the videos of a run whose system goes from image to image, and say where they are.

    Returns whether it is of pairs of pictures, which these videos show all of.
    """
    from anr_core.avatars import avatar_class
    from anr_core.avatars.run import Run, people_of

    runs = [Run.open(folder) for folder in people_of(path).values()]
    if avatar_class(runs[0].config.system).draws != "image pair":
        return False
    from anr_core.export.pairs import write_split_videos

    for run in runs:
        for file in write_split_videos(run, run.capture()):
            print(f"written to {file}")
    return runs[0].paired


def show_progress(training) -> None:
    """Train to the end under a progress bar; an interrupt closes the training, which saves."""
    from tqdm import tqdm

    bar, previews, stage = None, None, None
    try:
        with closing(training):
            for progress in training:
                if bar is None:  # not before the first step: an error before it stands alone
                    bar = tqdm(total=1, bar_format="{percentage:3.0f}% |{bar:20}| {desc}",
                               disable=not speaks())
                if progress.stage != stage:
                    stage = progress.stage
                    bar.write(f"{stage}: losses {', '.join(progress.losses)}")
                if progress.preview and not previews:
                    previews = progress.preview.parent
                    bar.write(f"previews: {previews}")
                    bar.write(f"page: {previews.parent / 'index.html'}")
                loss, left = sum(progress.losses.values()), tqdm.format_interval(progress.seconds_left)
                rate = f"{progress.images_per_second:.1f} images/s, " if progress.images_per_second else ""
                told = f"{progress.stage}, step {progress.step}, loss {loss:.4f}, {rate}{left} left"
                bar.set_description_str(told, refresh=False)
                bar.update(progress.fraction - bar.n)
    finally:
        if bar is not None:
            bar.close()
