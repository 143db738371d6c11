"""Runs that were handed on: archives and links."""

import hashlib
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from anr_core.avatars.run import load_avatar
from anr_core.training import train
from tests.posed_capture import make_posed_capture

TINY = {"size": 48, "window": 32, "batch": 1, "texture_size": 64, "width": 4}


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """A run as a zip of its folder."""
    folder = tmp_path_factory.mktemp("linked")
    capture = make_posed_capture(folder / "capture", masked=True)
    list(train(capture, folder / "run", steps=2, config=TINY))
    return shutil.make_archive(folder / "served" / "person", "zip", folder, "run")


@pytest.fixture
def address(packed, monkeypatch, tmp_path):
    """Where a server on this machine offers it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=packed.rpartition("/")[0]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/person.zip"
    server.shutdown()


def test_an_archive_of_a_run_draws_as_the_run_does(packed):
    avatar = load_avatar(packed)
    own = load_avatar(packed.replace("served/person.zip", "run"))
    assert all(torch.equal(one, other) for one, other in
               zip(avatar.state_dict().values(), own.state_dict().values(), strict=True))
    assert avatar.body is not None
    load_avatar(packed)  # unpacked already


def test_a_link_is_downloaded_once_and_checked_by_its_hash(packed, address):
    with open(packed, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    assert load_avatar(f"{address}#sha256={found}").body is not None
    with pytest.raises(ValueError, match="expected 0000"):
        load_avatar(f"{address}#sha256={'0' * 64}")


def test_what_holds_no_run_is_refused_in_words(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.txt").write_text("no run")
    archive = shutil.make_archive(tmp_path / "other", "zip", tmp_path / "x")
    with pytest.raises(ValueError, match="holds no run"):
        load_avatar(archive)
