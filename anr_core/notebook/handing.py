"""A button that hands an avatar on: as a page, a mesh or networks, in one file beside the notebook."""

from __future__ import annotations

from pathlib import Path

from anr_core.notebook.setting_up import on_colab


def exported(run: str | Path, out: str | Path = "avatar.html"):
    """A button that writes a run's avatar as the kind of file that `out` ends with, and a link to fetch it.

    Of a run of several people each gets a file, named after them. What can't be exported is said in one line.
    """
    import ipywidgets as widgets

    button = widgets.Button(description=f"export {Path(out).suffix}", icon="download")
    told = widgets.Output()

    def write(_):
        button.disabled = True
        told.clear_output()
        with told:
            try:
                for file, notes in _written(run, Path(out)):
                    print("; ".join(notes))
                    _offer(file)
            except (ValueError, OSError, ImportError) as error:
                print(error)
        button.disabled = False

    button.on_click(write)
    return widgets.VBox([button, told])


def _written(run, out):
    """Each person's file and its notes."""
    from anr_core.avatars.linked import local_run
    from anr_core.avatars.run import Run, people_of
    from anr_core.export.handing import hand_on

    folder = local_run(run)
    people = people_of(folder)
    for name, place in people.items():
        file = out if len(people) == 1 else out.with_name(f"{out.stem}-{place.name}{out.suffix}")
        yield file, hand_on(Run.open(folder, name), file)


def _offer(file):
    if on_colab():
        from google.colab import files

        files.download(str(file))
        return
    from IPython.display import FileLink, display

    display(FileLink(str(file), result_html_prefix="saved, to open in a browser or pass on: "))
