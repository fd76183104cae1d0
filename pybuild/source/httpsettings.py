"""What an http source vertex asks for (BuildKit's `http.*` attributes), and what its file is called."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from email.message import Message
from typing import Final
from urllib.parse import unquote, urlsplit

import attrs

from pybuild.digest import digest_of
from pybuild.errors import SourceFetchError
from pybuild.llb.giturl import redacted
from pybuild.llb.ops import SourceOp

_DEFAULT_NAME: Final = "download"
_DEFAULT_MODE: Final = 0o600
_HEADER: Final = "http.header."
_SENT: Final = {"accept": "Accept", "user-agent": "User-Agent"}


@attrs.frozen(kw_only=True)
class HttpSettings:
    """One URL, and how its file shall look.

    Args:
        url: as given, with the user in it.
        checksum: the digest that the content must have, or "".
        filename: the file's name, or "" for the server's choice.
        mode: permission bits; 0 for the default.
        uid: owner.
        gid: group.
        header_secret: id of the secret that holds an Authorization header; "" for those of the host.
        headers: what else is sent.
    """

    url: str
    checksum: str = ""
    filename: str = ""
    mode: int = 0
    uid: int = 0
    gid: int = 0
    header_secret: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def shown(self) -> str:
        """The URL as messages have it."""
        return redacted(self.url)

    @property
    def permissions(self) -> int:
        """The file's permission bits."""
        return self.mode or _DEFAULT_MODE

    @property
    def request(self) -> str:
        """Identifies what the server is asked: the same for files that only look different."""
        return digest_of("http", self.url, self.header_secret, self.headers)

    def key(self, digest: str, filename: str, modified: str) -> str:
        """The cache key: the content and all that shows of it, but not the URL."""
        looks = (filename, self.mode, self.uid, self.gid, modified)
        return f"http:{digest_of('http', digest, looks, self.header_secret, self.headers)}"


def http_settings(op: SourceOp) -> HttpSettings:
    """Read a source op.

    Raises:
        SourceFetchError: an attribute is no number, or not supported.
    """
    given = dict(op.attrs)
    if given.get("http.sig.pubkey") or given.get("http.sig.signature"):
        raise SourceFetchError("the embedded engine does not verify signatures of downloads", hint="give a checksum")
    headers = {
        _SENT[name]: value
        for key, value in given.items()
        if key.startswith(_HEADER) and (name := key.removeprefix(_HEADER).lower()) in _SENT
    }
    return HttpSettings(
        url=op.identifier,
        checksum=given.get("http.checksum", ""),
        filename=given.get("http.filename", ""),
        mode=_number(given, "http.perm", 8),
        uid=_number(given, "http.uid", 10),
        gid=_number(given, "http.gid", 10),
        header_secret=given.get("http.authheadersecret", ""),
        headers=tuple(sorted(headers.items())),
    )


def _number(given: Mapping[str, str], name: str, base: int) -> int:
    text = given.get(name, "") or "0"
    try:
        return int(text, base)
    except ValueError:
        raise SourceFetchError(f'{name}: "{text}" is not a number') from None


def file_name(settings: HttpSettings, disposition: str = "") -> str:
    """What the file is called: as asked for, as the server says, or like the last part of the URL.

    Args:
        settings: the URL and the wanted name.
        disposition: the Content-Disposition of the answer.

    Example:
        >>> file_name(HttpSettings(url="https://example.com/a/b.txt?x=1"))
        'b.txt'
        >>> file_name(HttpSettings(url="https://example.com/"), 'attachment; filename="../tool.sh"')
        'tool.sh'
    """
    if settings.filename:
        return _safe(settings.filename)
    told = _told(disposition)
    if told and not told.endswith("/"):
        return _safe(told)
    return _safe(posixpath.normpath(unquote(urlsplit(settings.url).path)).rpartition("/")[2])


def _told(disposition: str) -> str:
    if not disposition:
        return ""
    message = Message()
    message["Content-Disposition"] = disposition
    return message.get_filename() or ""


def _safe(name: str) -> str:
    """The last part of a name, or a default when that is none a file can have."""
    base = name.strip().rstrip("/").rpartition("/")[2]
    unprintable = any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in base)
    return _DEFAULT_NAME if base in ("", ".", "..") or unprintable else base
