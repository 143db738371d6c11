"""Archives stay in their folder, whatever they hold; broken ones are told in one line."""

import gzip
import io
import os
import stat
import tarfile
import tracemalloc
import types
import zipfile

import pytest

from anr_core.capture import archives
from anr_core.capture.archives import is_archive, unpack
from anr_core.cli import main

FILES = {"walk/videos/cam01.mp4": b"film", "walk/intri.yml": b"K", "__MACOSX/walk/._x": b"",
         "walk/.DS_Store": b""}


def packed(file, files, kind="zip"):
    """An archive of files by name; a value may also be a TarInfo or ZipInfo."""
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as out:
            for name, content in files.items():
                out.writestr(content if isinstance(content, zipfile.ZipInfo) else name,
                             b"../outside" if isinstance(content, zipfile.ZipInfo) else content)
        return file
    with tarfile.open(file, f"w:{kind}") as out:
        for name, content in files.items():
            member = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if not isinstance(content, tarfile.TarInfo):
                member.size = len(content)
            out.addfile(member, None if isinstance(content, tarfile.TarInfo) else io.BytesIO(content))
    return file


@pytest.mark.parametrize("kind", ["zip", "", "gz", "bz2", "xz"])
def test_archives_are_unpacked_and_their_only_folder_is_found(tmp_path, kind):
    archive = packed(tmp_path / "a", FILES, kind)
    assert is_archive(archive)
    folder = unpack(archive, tmp_path / "out")
    assert folder == tmp_path / "out" / "walk"
    assert (folder / "videos" / "cam01.mp4").read_bytes() == b"film"
    assert sorted(os.listdir(tmp_path)) == ["a", "out"]
    assert sorted(os.listdir(folder)) == ["intri.yml", "videos"]


def test_several_entries_are_left_where_they_are(tmp_path):
    archive = packed(tmp_path / "a", {"one/x": b"1", "two/x": b"2"})
    assert unpack(archive, tmp_path / "out") == tmp_path / "out"


def linked(kind):
    member = tarfile.TarInfo("link")
    member.type, member.linkname = kind, "../outside"
    return member


ZIP_LINK = zipfile.ZipInfo("link")
ZIP_LINK.external_attr = (stat.S_IFLNK | 0o777) << 16


@pytest.mark.parametrize(("kind", "files"), [
    *((kind, {"fine": b"1", name: b"2"}) for kind in ("zip", "gz")
      for name in ("../outside", "a/../../outside", "/outside", "..\\outside", "C:\\outside", "\\\\host\\x",
                   "a/C:/outside")),
    ("zip", {"fine": b"1", "link": ZIP_LINK}),
    *(("gz", {"fine": b"1", "link": linked(kind)})
      for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)),
])
def test_nothing_is_written_outside_nor_left_behind(tmp_path, kind, files):
    archive = packed(tmp_path / "a", files, kind)
    with pytest.raises(ValueError, match="is not unpacked"):
        unpack(archive, tmp_path / "deep" / "out")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "deep"]


def test_broken_and_doubled_archives_are_refused_in_one_line(tmp_path):
    whole = packed(tmp_path / "whole", FILES, "gz").read_bytes()
    for length in range(20, len(whole), 15):
        (tmp_path / "short").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"\A[^\n]*short can't be unpacked \([^\n]*\Z"):
            unpack(tmp_path / "short", tmp_path / "out")
    damaged = bytearray(packed(tmp_path / "zip", {"x": b"A" * 100}).read_bytes())
    damaged[50] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    with pytest.raises(ValueError, match="damaged can't be unpacked"):
        unpack(tmp_path / "damaged", tmp_path / "out")
    with pytest.raises(ValueError, match="holds 'x' twice|holds './x' twice"):
        unpack(packed(tmp_path / "twice", {"x": b"1", "./x": b"2"}), tmp_path / "out")
    assert not (tmp_path / "out").exists() and not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_an_archive_larger_than_the_disk_is_refused(tmp_path, monkeypatch):
    archive = packed(tmp_path / "a", FILES)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: types.SimpleNamespace(free=0))
    with pytest.raises(ValueError, match="Make room"):
        unpack(archive, tmp_path / "out")


def test_half_of_a_zip_is_a_broken_archive_and_not_an_unknown_source(tmp_path, capsys):
    whole = packed(tmp_path / "walk.zip", FILES).read_bytes()
    (tmp_path / "walk.zip").write_bytes(whole[:len(whole) // 2])
    assert main(["prepare", str(tmp_path / "walk.zip"), str(tmp_path / "capture")]) == 2
    assert "walk.zip can't be unpacked (File is not a zip file)" in capsys.readouterr().err


def test_what_is_wrong_in_an_archive_is_told_as_a_path_in_it(tmp_path, capsys):
    source = packed(tmp_path / "walk.zip", {"walk/images/1.jpg": b"no picture", "walk/images/2.jpg": b""})
    assert main(["prepare", str(source), str(tmp_path / "capture")]) == 2
    said = capsys.readouterr()
    assert f"{source}: format plain" in said.out
    assert f"Error: {source}/walk/images/1.jpg can't be read as a picture" in said.err


# what was made to fill a disk or the memory


@pytest.mark.parametrize("kind", ["zip", "gz", "bz2", "xz"])
def test_an_archive_that_unpacks_to_hundreds_of_times_its_size_is_refused(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(archives, "SMALL", 10**5)
    file = tmp_path / "a"
    if kind == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
            out.writestr("a/zeros", bytes(3 * 10**6))
    else:
        packed(file, {"a/zeros": bytes(3 * 10**6)}, kind)
    with pytest.raises(ValueError, match=r"\A[^\n]* MB and would unpack to 3 MB, which no recording does"):
        unpack(file, tmp_path / "out")
    assert os.listdir(tmp_path) == ["a"]


def test_many_files_that_together_are_too_much_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "SMALL", 10**5)
    with zipfile.ZipFile(tmp_path / "a", "w", zipfile.ZIP_DEFLATED) as out:
        for number in range(200):
            out.writestr(str(number), bytes(50_000))
    with pytest.raises(ValueError, match="would unpack to [0-9] MB, which no recording does"):
        unpack(tmp_path / "a", tmp_path / "out")
    monkeypatch.setattr(archives, "MOST_FILES", 3)
    with pytest.raises(ValueError, match="would unpack to more than 3 files"):
        unpack(packed(tmp_path / "b", {str(n): b"" for n in range(9)}), tmp_path / "out")


def test_an_endless_header_of_a_tar_is_not_read_into_memory(tmp_path):
    """A member of tarfile's own, for a long name, whose length is read as a whole."""
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 2**40
    with gzip.open(tmp_path / "a.tar.gz", "wb") as out:
        out.write(member.tobuf(tarfile.GNU_FORMAT) + bytes(10**6))
    with pytest.raises(ValueError, match="can't be unpacked .a header of [0-9]+ bytes"):
        unpack(tmp_path / "a.tar.gz", tmp_path / "out")


def test_looking_whether_a_film_is_an_archive_reads_no_endless_header(tmp_path):
    member = tarfile.TarInfo("pax")
    member.type, member.size = tarfile.XHDTYPE, 2**26
    with gzip.open(tmp_path / "film.mp4", "wb", compresslevel=1) as out:
        out.write(member.tobuf(tarfile.PAX_FORMAT))
        for _ in range(2**6):
            out.write(bytes(2**20))
    tracemalloc.start()
    try:
        assert not is_archive(tmp_path / "film.mp4")
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_a_sparse_file_counts_as_large_as_it_unpacks(tmp_path):
    member = tarfile.TarInfo("sparse")
    member.type, member.size = tarfile.GNUTYPE_SPARSE, 0
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"00000000000\0" + b"00000000000\0"  # one hole
    header[483:495] = b"77777777777\0"  # 8 GB
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "a.tar").write_bytes(bytes(header) + bytes(1024))
    with pytest.raises(ValueError, match="would unpack to 8,590 MB"):
        unpack(tmp_path / "a.tar", tmp_path / "out")


def test_a_file_through_a_link_of_the_same_archive_is_not_written(tmp_path):
    (tmp_path / "outside").mkdir()
    link = tarfile.TarInfo("inner")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "outside")
    archive = packed(tmp_path / "a", {"inner": link, "inner/x": b"1"}, "gz")
    with pytest.raises(ValueError, match="a link or a device, and is not unpacked"):
        unpack(archive, tmp_path / "out")
    assert not list((tmp_path / "outside").iterdir()) and not (tmp_path / "out").exists()


@pytest.mark.parametrize("names", [("a", "a/b"), ("a/b", "a"), ("x" * 400,), ("a", "./a"), ("a\0b",),
                                   (".",)], ids=repr)
@pytest.mark.parametrize("kind", ["zip", "gz"])
def test_names_that_no_folder_can_hold_are_refused_in_one_line(tmp_path, names, kind):
    file = packed(tmp_path / "a", {name: b"1" for name in names}, kind)
    try:
        unpack(file, tmp_path / "out")
    except ValueError as error:
        assert "\n" not in str(error) and os.listdir(tmp_path) == ["a"]
    else:
        assert all(path.resolve().is_relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*"))


def test_a_file_without_a_name_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a", "w") as out:
        out.writestr("x", b"1")
        out.filelist[0].filename = ""
    with pytest.raises(ValueError, match="can't be unpacked"):
        unpack(tmp_path / "a", tmp_path / "out")


def test_letters_that_steer_a_terminal_are_told_as_letters(tmp_path, capsys):
    archive = packed(tmp_path / "a.zip", {"../\x1b[2Jx": b"1"})
    assert main(["prepare", str(archive), str(tmp_path / "capture")]) == 2
    said = capsys.readouterr().err
    assert "\x1b" not in said and r"\x1b[2J" in said
