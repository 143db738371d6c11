"""Sources that are not folders yet: links are downloaded, archives unpacked.

    local_source(source, near)  whatever it is, as a folder or a file on this disk; "sample" too (sample.py)
    link_of(source)             the address, where a source is a link
    fetch(link, store)          its file, downloaded once; broken downloads go on where they stopped

A file has its name only when it is whole. A link may end in `#sha256=...`, as pip writes it: then its file
has to have that hash.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from urllib.error import HTTPError
from urllib.parse import parse_qs, unquote, urlencode, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from tqdm import tqdm

from anr_core.capture.archives import CHUNK, BrokenArchive, is_archive, make_room, unpack
from anr_core.capture.sample import fetch_sample, is_sample
from anr_core.capture.sources import is_number
from anr_core.telling import brief, quoted, reason

ATTEMPTS, PAUSE, TIMEOUT = 3, 1.0, 30.0  # tries in a row without a byte, seconds between them, seconds

SPARE = 2**30  # bytes of the disk that a download leaves free, whose length the server didn't tell
BY_HAND = "Download it by hand and give the file."


@contextmanager
def local_source(source: str | Path, near: Path) -> Iterator[Path]:
    """A source as a folder or a file on this disk: links are downloaded, archives unpacked near a folder.

    What was unpacked is removed when the block ends; what was downloaded stays, for the next time. Errors
    that the block raises name what the user gave in place of these.
    """
    link, file = link_of(source), Path(source)
    if link:
        print(f"{link}: downloading into {store()}")
        file = fetch(link, store())
    elif is_sample(source):
        file = fetch_sample(store())
    if not is_archive(file):
        with _told_as(file, source):
            yield file
        return
    place = next(parent for parent in near.resolve().parents if parent.is_dir())
    with tempfile.TemporaryDirectory(prefix=f".{near.name}.", dir=place) as folder:
        print(f"{source}: unpacking")
        name = re.sub(r"(\.(zip|whl|tar|tgz|gz|bz2|xz))+$", "", file.name, flags=re.IGNORECASE)
        target = Path(folder, name or "archive")
        try:
            with _told_as(file, source):
                unpacked = unpack(file, target)
        except BrokenArchive:
            if link:
                file.unlink()  # else the next call would find it again
            raise
        with _told_as(target, source):
            yield unpacked


@contextmanager
def _told_as(place: Path, source: str | Path) -> Iterator[None]:
    """Errors of the block name a source where they would name its place."""
    try:
        yield
    except (ValueError, OSError) as error:
        if str(place) not in str(error):
            raise
        kind = next(kind for kind in (BrokenArchive, FileNotFoundError, ValueError, OSError)
                    if isinstance(error, kind))
        raise kind(str(error).replace(str(place), str(source))) from error


def store() -> Path:
    """Where downloads are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "anr_core" / "downloads"


def link_of(source: str | Path) -> str | None:
    """The address that a source is, or None; a Path has lost one of its slashes, which is put back."""
    found = re.fullmatch(r"(https?):/{1,2}([^/\s].*)", str(source), re.IGNORECASE)
    return found and f"{found[1].lower()}://{found[2]}"


# downloads

def fetch(link: str, store: Path) -> Path:
    """The file behind a link, in a folder of its own in the store; downloaded unless it is there already.

    Raises ValueError where there is no file, the connection breaks for good, or the hash is another one.
    """
    address, _, fragment = link.partition("#")
    home = store / hashlib.sha256(address.encode()).hexdigest()[:16]
    home.mkdir(parents=True, exist_ok=True)
    file = _only_file(home)
    if file is None:
        site = (urlsplit(address).hostname or "").removeprefix("www.")
        download = _from_drive if site in ("drive.google.com", "docs.google.com") else \
            _from_youtube if site in ("youtube.com", "m.youtube.com", "youtu.be") else _from_http
        download(address, home)
        file = _only_file(home)
    expected = fragment.removeprefix("sha256=").lower() if fragment.startswith("sha256=") else None
    if expected and (found := _sha256(file)) != expected:
        file.unlink()
        raise ValueError(f"{address} gave a file whose sha256 is {found}, expected {expected}. It was "
                         "removed; ask whoever gave you the link.")
    return file


def _only_file(home):
    return next((file for file in sorted(home.iterdir()) if not file.name.startswith(".")), None)


def _sha256(file):
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _from_http(address, home):
    """Download into the home's .part; give it its name when all bytes are there."""
    part, idle = home / ".part", 0
    while True:
        before = _length(part)
        try:
            name, total = _receive(_direct(address), part)
        except HTTPError as error:
            if error.code == 416 and before:  # what is there is not a beginning of what the server has now
                part.unlink()
                continue
            if error.code < 500:
                raise ValueError(f"{address} can't be downloaded ({error.code} {brief(error.reason)}). Check "
                                 "the link, and that whoever has it may read it.") from None
            name, total, why = None, None, f"{error.code} {brief(error.reason)}"
        except (OSError, HTTPException) as error:
            name, total, why = None, None, reason(error)
        if name and total in (None, _length(part)):
            break
        idle = 0 if _length(part) > before else idle + 1
        if idle == ATTEMPTS:
            what = f"the connection ended after {_length(part)} of {total} bytes" if name else why
            raise ValueError(f"{address} can't be downloaded ({what}). The same command goes on where this "
                             f"one stopped. {BY_HAND}")
        time.sleep(PAUSE)
    os.replace(part, home / name)
    part.with_name(".version").unlink()


def _length(part):
    return part.stat().st_size if part.is_file() else 0


def _direct(address):
    """Of a Dropbox page the file itself, of anything else the same."""
    parts = urlsplit(address)
    if (parts.hostname or "").removeprefix("www.") != "dropbox.com":
        return address
    return urlunsplit(parts._replace(query=urlencode({**parse_qs(parts.query), "dl": "1"}, doseq=True)))


class _Redirects(HTTPRedirectHandler):
    """Follows a server only where the user could have meant to go: no other protocol, nothing less safe than
    the link, and from the internet not into the network that this machine stands in.
    """

    def redirect_request(self, request, stream, code, reason, headers, target):
        old, new = urlsplit(request.full_url), urlsplit(target)
        why = None
        if new.scheme not in ("http", "https"):
            why = f"another protocol, {brief(new.scheme)}"
        elif old.scheme == "https" and new.scheme == "http":
            why = "an address without encryption"
        elif _is_inside(new.hostname) and not _is_inside(old.hostname):
            why = "an address inside this network"
        if why:
            raise ValueError(f"{request.full_url} sends on to {quoted(target, 200)}, {why}, and is not "
                             f"followed. Ask whoever gave you the link. {BY_HAND}")
        return super().redirect_request(request, stream, code, reason, headers, target)


def _is_inside(host: str | None) -> bool:
    """Whether a host is this machine or one that only its own network reaches."""
    try:
        places = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
        return any(not ipaddress.ip_address(place.partition("%")[0]).is_global for place in places)
    except (OSError, ValueError):  # unknown: the connection will say so
        return False


def _receive(address, part) -> tuple[str, int | None]:
    """Go on with a part; returns the file's name and its whole length, if the server tells."""
    version, have = part.with_name(".version"), _length(part)
    known = version.read_text() if have and version.is_file() else ""
    headers = {"User-Agent": "anr_core", "Accept-Encoding": "identity"}
    if known:  # else nobody knows whether what the server has now goes on with this part
        headers |= {"Range": f"bytes={have}-", "If-Range": known}
    with build_opener(_Redirects).open(Request(address, headers=headers), timeout=TIMEOUT) as response:
        fields, resumed = response.headers, response.status == 206
        if resumed and not fields.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.unlink()
            raise HTTPException(f"the server sent {brief(fields.get('Content-Range'))}, asked for {have}-")
        name = _file_name(fields.get_filename() or unquote(PurePosixPath(urlsplit(response.url).path).name))
        if fields.get_content_type() == "text/html" and not name.endswith((".html", ".htm")):
            raise ValueError(f"{address} leads to a web page, not to a file. Copy the link of the file "
                             f"itself. {BY_HAND}")
        length, done = fields.get("Content-Length"), have if resumed else 0
        total = done + int(length) if length and is_number(length) else None
        make_room((total or 0) - done, part.parent, address)
        tag = fields.get("ETag", "W/")  # weak ones don't promise the same bytes
        version.write_text(fields.get("Last-Modified", "") if tag.startswith("W/") else tag)
        with open(part, "ab" if resumed else "wb") as out, \
                tqdm(total=total, initial=done, desc=name, unit="B", unit_scale=True) as bar:
            while chunk := response.read(CHUNK):
                if total is None:  # it may never end
                    make_room(SPARE, part.parent, address)
                out.write(chunk)
                bar.update(len(chunk))
    return name, total


def _file_name(name):
    """A name without folders, control characters or leading dots, not too long for any file system."""
    plain = re.sub(r"[^\w .()+=,@-]", "_", name.replace("\\", "/").rpartition("/")[2]).lstrip(". ")
    return plain[-120:] or "download"


def _from_drive(address, home):
    import gdown
    import requests

    parts = urlsplit(address)
    found = re.search(r"/d/([\w-]+)", parts.path)
    identity = found[1] if found else parse_qs(parts.query).get("id", [None])[0]
    if identity is None:
        raise ValueError(f"{address} is no link of a file on Google Drive. Share one file, a zip for "
                         f"example, with anyone who has the link. {BY_HAND}")
    try:  # gdown writes to a temporary name, resumes it, and compares its length
        gdown.download(id=identity, output=f"{home}{os.sep}", resume=True, use_cookies=False)
    except (OSError, ValueError, RuntimeError, gdown.exceptions.FileURLRetrievalError,
            requests.exceptions.RequestException) as error:
        raise ValueError(f"{address} can't be downloaded ({reason(error)}). Let anyone with the link read "
                         f"it. {BY_HAND}") from None
    if _only_file(home) is None:
        raise ValueError(f"{address} gave no file. Let anyone with the link read it. {BY_HAND}")


def _from_youtube(address, home):
    try:
        import yt_dlp
    except ImportError as error:
        raise ImportError(f"Videos of YouTube need yt-dlp: pip install yt-dlp. {BY_HAND}") from error
    wish = {"format": "bestvideo[ext=mp4][height<=1080]/best[ext=mp4]/best", "noplaylist": True,
            "outtmpl": f"{home}/.%(id)s.%(ext)s"}
    try:
        with yt_dlp.YoutubeDL(wish) as downloader:
            made = Path(downloader.prepare_filename(downloader.extract_info(address)))
    except yt_dlp.utils.DownloadError as error:
        raise ValueError(f"{address} can't be downloaded ({reason(error)}). {BY_HAND}") from None
    os.replace(made, home / _file_name(made.name))
