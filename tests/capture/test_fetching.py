"""Links: downloads that go on where they stopped, and sources that are not folders."""

import hashlib
import io
import json
import re
import sys
import threading
import types
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anr_core.capture import archives, fetching, load_capture
from anr_core.capture.fetching import fetch, link_of
from anr_core.cli import main
from anr_core.prepare import prepare_link
from tests.capture.test_archives import packed

CONTENT = np.random.default_rng(0).bytes(300_000)


class Server(BaseHTTPRequestHandler):
    """Serves what `site.files` holds by path; breaks off after `site.breaks` bytes while there are any."""

    def do_GET(self):
        site = self.server
        site.asked.append((self.path, self.headers.get("Range")))
        if self.path.partition("?")[0] not in site.files:
            return self.send_error(404)
        content, fields = site.files[self.path.partition("?")[0]]
        start = 0
        if self.headers.get("Range") and self.headers.get("If-Range") == fields.get("ETag"):
            start = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1])
            if start >= len(content):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        for name, value in {"Content-Length": str(len(content) - start), **fields}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[start:][:site.breaks.pop(0) if site.breaks else None])

    def log_message(self, *_):
        pass


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(fetching, "PAUSE", 0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.files, server.breaks, server.asked = {"/data/walk.zip": (CONTENT, {"ETag": '"1"'})}, [], []
    server.link = f"http://127.0.0.1:{server.server_port}/data/walk.zip"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_links_are_told_from_paths():
    assert link_of("https://a.org/x.zip?dl=0#f") == "https://a.org/x.zip?dl=0#f"
    assert link_of(Path("https://a.org/x.zip")) == "https://a.org/x.zip"  # as a Path has it
    for text in ("data/x.zip", "C:/x", "ftp://a.org/x", "https://", "file:///etc"):
        assert link_of(text) is None


def test_a_file_is_downloaded_once(site, tmp_path):
    file = fetch(site.link, tmp_path)
    assert file.name == "walk.zip" and file.read_bytes() == CONTENT
    assert fetch(site.link, tmp_path) == file and len(site.asked) == 1
    assert [path.name for path in file.parent.iterdir()] == ["walk.zip"]


def test_progress_is_shown(site, tmp_path, capsys):
    fetch(site.link, tmp_path)
    assert "walk.zip: 100%" in capsys.readouterr().err


def test_a_broken_connection_goes_on_where_it_stopped(site, tmp_path):
    site.breaks = [100_000, 50_000]
    assert fetch(site.link, tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked in site.asked] == [None, "bytes=100000-", "bytes=150000-"]


def test_a_download_that_ended_for_good_is_resumed_by_the_next_call(site, tmp_path):
    site.breaks = [200_000] + [0] * fetching.ATTEMPTS
    with pytest.raises(ValueError, match="ended after 200000 of 300000 bytes.*goes on where this"):
        fetch(site.link, tmp_path)
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and not file.name.startswith(".")]
    assert fetch(site.link, tmp_path).read_bytes() == CONTENT
    assert site.asked[-1][1] == "bytes=200000-"


def test_a_file_that_changed_meanwhile_is_begun_again(site, tmp_path):
    site.breaks = [200_000] + [0] * fetching.ATTEMPTS
    with pytest.raises(ValueError):
        fetch(site.link, tmp_path)
    site.files["/data/walk.zip"] = (CONTENT[::-1], {"ETag": '"2"'})
    assert fetch(site.link, tmp_path).read_bytes() == CONTENT[::-1]


def test_a_server_that_names_no_version_is_asked_for_the_whole_file(site, tmp_path):
    site.files["/data/walk.zip"] = (CONTENT, {})
    site.breaks = [100_000]
    assert fetch(site.link, tmp_path).read_bytes() == CONTENT
    assert [asked for _, asked in site.asked] == [None, None]


def test_a_known_hash_is_checked(site, tmp_path):
    right, wrong = hashlib.sha256(CONTENT).hexdigest(), "0" * 64
    assert fetch(f"{site.link}#sha256={right.upper()}", tmp_path).read_bytes() == CONTENT
    with pytest.raises(ValueError, match=f"sha256 is {right}, expected {wrong}. It was removed"):
        fetch(f"{site.link}#sha256={wrong}", tmp_path)
    assert not list(tmp_path.rglob("walk.zip"))


@pytest.mark.parametrize(("header", "name"), [
    ('filename="my walk.zip"', "my walk.zip"), ("filename*=UTF-8''%C3%BC.zip", "ü.zip"),
    ('filename="../../.ssh/keys"', "keys"), ('filename=".."', "download"),
])
def test_the_servers_name_is_taken_but_no_folder_of_it(site, tmp_path, header, name):
    site.files["/data/walk.zip"] = (CONTENT, {"Content-Disposition": f"attachment; {header}"})
    file = fetch(site.link, tmp_path)
    assert file.name == name and file.parent.parent == tmp_path


@pytest.mark.parametrize(("path", "complaint"), [
    ("/none.zip", "404 Not Found.*Check the link"), ("/page", "a web page, not to a file"),
])
def test_what_is_no_file_is_refused(site, tmp_path, path, complaint):
    site.files["/page"] = (b"<html>Sign in", {"Content-Type": "text/html; charset=utf-8"})
    with pytest.raises(ValueError, match=complaint):
        fetch(site.link.replace("/data/walk.zip", path), tmp_path)
    assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_nobody_at_home_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(fetching, "PAUSE", 0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(ValueError, match=r"\Ahttp://127.0.0.1:9/x can't be downloaded \([^\n]*\Z"):
        fetch("http://127.0.0.1:9/x", tmp_path)


def test_a_file_larger_than_the_disk_is_not_begun(site, tmp_path, monkeypatch):
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: types.SimpleNamespace(free=1000))
    with pytest.raises(ValueError, match="needs 0.0 GB, but .* Make room"):
        fetch(site.link, tmp_path)


def test_dropboxs_pages_lead_to_their_file():
    for query in ("rlkey=a&dl=0", "rlkey=a"):
        assert fetching._direct(f"https://www.dropbox.com/s/k/x.zip?{query}").endswith("?rlkey=a&dl=1")
    assert fetching._direct("https://a.org/x.zip?dl=0") == "https://a.org/x.zip?dl=0"


@pytest.mark.parametrize("page", ["file/d/1aB-c_/view?usp=sharing", "open?id=1aB-c_", "uc?id=1aB-c_"])
def test_google_drives_files_come_through_gdown(page, tmp_path, monkeypatch):
    def download(id, output, resume, use_cookies):
        assert id == "1aB-c_" and resume and not use_cookies
        with open(output + "walk.zip", "wb") as out:
            out.write(CONTENT)

    monkeypatch.setattr("gdown.download", download)
    assert fetch(f"https://drive.google.com/{page}", tmp_path).read_bytes() == CONTENT


def test_a_folder_of_google_drive_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no link of a file on Google Drive. Share one file"):
        fetch("https://drive.google.com/drive/folders/1aB", tmp_path)


def test_videos_of_youtube_need_yt_dlp(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yt_dlp", None)
    with pytest.raises(ImportError, match="pip install yt-dlp"):
        fetch("https://youtu.be/abc", tmp_path)


def test_a_link_to_an_archive_becomes_a_capture(site, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    pair = io.BytesIO()
    Image.new("RGB", (4, 3)).save(pair, "PNG")
    packed(tmp_path / "a", {f"smplpix_data/train/{kind}/1.png": pair.getvalue()
                            for kind in ("input", "output")})
    site.files["/data/walk.zip"] = ((tmp_path / "a").read_bytes(), {})
    for _ in range(2):
        assert main(["prepare", site.link, str(tmp_path / "capture")]) == 0
    said = capsys.readouterr().out
    assert "walk.zip: unpacking" in said and f"{site.link}: format smplpix" in said and len(site.asked) == 1
    assert (tmp_path / "capture" / "capture.json").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "cache", "capture"]


def test_what_can_not_be_had_is_one_line_and_exit_code_2(site, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    packed(tmp_path / "evil.zip", {"../outside": b""})
    for source in (site.link.replace("walk", "none"), str(tmp_path / "evil.zip")):
        assert main(["prepare", source, str(tmp_path / "capture")]) == 2
        complaint = capsys.readouterr().err.strip().splitlines()[-1]
        assert complaint.startswith("Error: ") and ("404" in complaint or "leads out" in complaint)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "evil.zip"]


def test_a_broken_archive_is_downloaded_anew_by_the_next_call(site, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for _ in range(2):  # 300 kB that are named walk.zip
        assert main(["prepare", site.link, str(tmp_path / "capture")]) == 2
        assert f"Error: {site.link} can't be unpacked" in capsys.readouterr().err
    assert len(site.asked) == 2


# train --data_url

def zipped(folder, file):
    with zipfile.ZipFile(file, "w") as out:
        for path in sorted(folder.rglob("*")):
            out.write(path, Path(folder.name, path.relative_to(folder)))
    return file.read_bytes()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_training_begins_with_a_link_and_finds_its_capture_again(site, small_source, cache, tmp_path, capsys):
    site.files["/data/walk.zip"] = (zipped(small_source, tmp_path / "a"), {})
    settings = {"size": 64, "window": 48, "batch": 2, "texture_size": 64, "width": 4}
    (tmp_path / "tiny.json").write_text(json.dumps(settings))
    capture, run = str(tmp_path / "capture"), str(tmp_path / "run")
    command = ["train", capture, run, "--data_url", site.link, "--steps", "2", "--config",
               str(tmp_path / "tiny.json")]
    for _ in range(2):
        assert main(command) == 0
    assert len(site.asked) == 1 and capsys.readouterr().out.count("format registered") == 1
    assert load_capture(capture).link == site.link and (tmp_path / "run" / "checkpoint.safetensors").is_file()
    assert main([*command[:3], "--data_url", site.link.replace("walk", "other")]) == 2
    assert f"is a capture of {site.link}, not of" in capsys.readouterr().err and len(site.asked) == 1


def test_pairs_of_pictures_cannot_train_what_needs_a_body(site, cache, tmp_path, capsys):
    for kind in ("input", "output"):
        (tmp_path / "smplpix_data" / "train" / kind).mkdir(parents=True)
        Image.new("RGB", (4, 3)).save(tmp_path / "smplpix_data" / "train" / kind / "1.png")
    site.files["/data/walk.zip"] = (zipped(tmp_path / "smplpix_data", tmp_path / "a"), {})
    for _ in range(2):
        assert main(["train", str(tmp_path / "capture"), str(tmp_path / "run"), "--data_url", site.link]) == 2
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert f"Error: {site.link} is of format smplpix" in line and "system anr needs" in line
    assert len(site.asked) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "cache", "smplpix_data"]


def test_nothing_is_downloaded_for_a_place_that_is_taken_or_what_is_no_link(site, cache, tmp_path, capsys):
    (tmp_path / "capture").mkdir()
    (tmp_path / "capture" / "thesis.tex").write_text("")
    for command in (["prepare", site.link, str(tmp_path / "capture")],
                    ["train", str(tmp_path / "capture"), str(tmp_path / "run"), "--data_url", site.link]):
        assert main(command) == 2
        assert "something else than a capture" in capsys.readouterr().err
    assert main(["train", str(tmp_path / "new"), str(tmp_path / "run"), "--data_url", "a.zip"]) == 2
    assert "--data_url a.zip is no link, and no file" in capsys.readouterr().err and site.asked == []


def test_an_archive_or_folder_on_this_disk_does_as_a_link_too(tmp_path):
    for kind in ("input", "output"):
        (tmp_path / "smplpix_data" / "train" / kind).mkdir(parents=True)
        Image.new("RGB", (4, 3)).save(tmp_path / "smplpix_data" / "train" / kind / "1.png")
    zipped(tmp_path / "smplpix_data", tmp_path / "a.zip")
    for source in (tmp_path / "a.zip", tmp_path / "smplpix_data"):
        capture = tmp_path / f"{source.stem} capture"
        for _ in range(2):
            assert prepare_link(str(source), capture, "smplpix").paired
        with pytest.raises(ValueError, match="is a capture of file://.*, not of https://site/b.zip"):
            prepare_link("https://site/b.zip", capture, "smplpix")


# where servers send on to


class Elsewhere(Server):
    """Sends on to what `site.target` says."""

    def do_GET(self):
        if self.path != "/on":
            return super().do_GET()
        self.send_response(302)
        self.send_header("Location", self.server.target)
        self.end_headers()


def test_a_server_may_send_on(site, tmp_path):
    site.RequestHandlerClass, site.target = Elsewhere, "/data/walk.zip"
    assert fetch(site.link.replace("/data/walk.zip", "/on"), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x", "data:text/plain,x",
                                    "gopher://127.0.0.1/"])
def test_a_server_may_not_send_on_to_files_and_other_protocols(site, tmp_path, target):
    site.RequestHandlerClass, site.target = Elsewhere, target
    with pytest.raises(ValueError, match="another protocol, ftp, and is not followed|is not allowed"):
        fetch(site.link.replace("/data/walk.zip", "/on"), tmp_path)
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and not file.name.startswith(".")]


@pytest.mark.parametrize(("link", "target", "why"), [
    ("https://a.org/x", "http://a.org/x", "without encryption"),
    ("http://a.org/x", "http://inside/x", "inside this network"),
    ("http://a.org/x", "http://127.0.0.1:8000/x", "inside this network"),
    ("http://a.org/x", "http://169.254.169.254/latest", "inside this network"),
    ("https://a.org/x", "https://[::1]/x", "inside this network"),
    ("http://inside/x", "http://127.0.0.1/x", None), ("http://a.org/x", "https://b.org/x", None),
    ("https://a.org/x", "https://b.org/x", None),
])
def test_a_server_may_not_lead_into_the_network_of_this_machine(link, target, why, monkeypatch):
    places = {"a.org": "8.8.8.8", "b.org": "1.1.1.1", "inside": "192.168.1.5"}
    monkeypatch.setattr(fetching.socket, "getaddrinfo",
                        lambda host, _: [(0, 0, 0, "", (places.get(host, host), 0))])
    request = fetching.Request(link)

    def sent_on():
        return fetching._Redirects().redirect_request(request, None, 302, "Found", {}, target)

    if why is None:
        assert sent_on().full_url == target
    else:
        with pytest.raises(ValueError, match=why):
            sent_on()


def test_a_download_without_a_length_leaves_room_on_the_disk(site, tmp_path, monkeypatch):
    site.files["/endless.bin"] = CONTENT, {"Content-Length": ""}
    disk = types.SimpleNamespace(free=fetching.SPARE - 1)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda _: disk)
    with pytest.raises(ValueError, match="Make room"):
        fetch(site.link.replace("/data/walk.zip", "/endless.bin"), tmp_path)
