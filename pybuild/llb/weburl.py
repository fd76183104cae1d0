"""URLs as Go's `net/url` reads and writes them: what is one, which parts it has, and which characters are escaped.

Sources of an op hold URLs in the form that Go writes them in, and what Go does not take for a URL is not fetched as a
git repository. Python's `urllib.parse` is both laxer and stricter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import attrs

_LETTERS: Final = rb"A-Za-z0-9\-_.~"
_IN_HOST: Final = re.compile(rb"[^" + _LETTERS + rb"!$&'()*+,;=:\[\]<>\"\x80-\xff]")
_ESCAPED_IN_HOST: Final = re.compile(rb"[^" + _LETTERS + rb"!$&'()*+,;=:\[\]<>\"]")
_ESCAPED_IN_PATH: Final = re.compile(rb"[^" + _LETTERS + rb"$&+,/:;=@]")
_ESCAPED_IN_USER: Final = re.compile(rb"[^" + _LETTERS + rb"$&+,;=]")
_PATH_AS_WRITTEN: Final = re.compile(rb"[" + _LETTERS + rb"$&+,/:;=@!'()*\[\]%]*")
_USER: Final = re.compile(rb"[" + _LETTERS + rb":!$&'()*+,;=%@]*")
_SCHEME: Final = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*):")
_PORT: Final = re.compile(rb"(?::[0-9]*)?")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
#: In a host only bytes that are not ASCII may be escaped, and a percent sign.
_BAD_HOST_ESCAPE: Final = re.compile(rb"%(?!25)[0-7]")
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")
_UNNAMED: Final = "__unnamed__"


@attrs.frozen(kw_only=True)
class WebUrl:
    """A URL, taken apart. Bytes that are no text are lone surrogates (`surrogateescape`).

    Attributes:
        scheme: in lower case; "" when there is none.
        user: user and password in their escaped form.
        host: with its port.
        path: decoded.
        base: all but query and fragment, as Go writes it.
        query: the parts of the query in order; those that are malformed are left out.
        fragment: decoded.
    """

    scheme: str
    user: str
    host: str
    path: str
    base: str
    query: tuple[tuple[str, str], ...] = ()
    fragment: str = ""


def parse_web_url(text: str) -> WebUrl:
    """Read a URL with a host (`https://host/path`), or one that is only a path.

    Raises:
        ValueError: Go takes it for no URL.

    Example:
        >>> parse_web_url("HTTPS://example.com/a b?x=1#y").base
        'https://example.com/a%20b'
    """
    raw, _, fragment = _bytes(text).partition(b"#")
    if _CONTROL.search(raw):
        raise ValueError("invalid control character")
    found = _SCHEME.match(raw)
    scheme, rest = (found[1].lower(), raw[found.end() :]) if found else (b"", raw)
    # A question mark with nothing behind it stays when the query is taken off.
    mark = b"?" if rest.endswith(b"?") and rest.count(b"?") == 1 else b""
    rest, _, query = rest.partition(b"?")
    if scheme and not rest.startswith(b"//"):
        raise ValueError("no host")
    if not scheme and b":" in rest.partition(b"/")[0]:
        raise ValueError("first path segment contains a colon")
    user = host = b""
    if rest.startswith(b"//"):
        authority, slash, rest = rest[2:].partition(b"/")
        rest = slash + rest
        user, host = _authority(authority, strict=scheme in (b"http", b"https"))
    path = _unescaped(rest)
    start = scheme + b":" if scheme else b""
    if host or path or user:
        start += b"//"
    base = start + (user + b"@" if user else b"") + _escaped(host, _ESCAPED_IN_HOST) + _escaped_path(rest, path) + mark
    return WebUrl(
        scheme=_text(scheme),
        user=_text(user),
        host=_text(host),
        path=_text(path),
        base=_text(base),
        query=tuple(_query(query)),
        fragment=_text(_unescaped(fragment)),
    )


def parse_query(text: str) -> tuple[tuple[str, str], ...]:
    """The parts of a query in order.

    Raises:
        ValueError: one is malformed.
    """
    raw = _bytes(text)
    found = tuple(_query(raw))
    if len(found) != sum(bool(part) for part in raw.split(b"&")):
        raise ValueError("malformed query")
    return found


def download_name(url: str) -> str:
    """The name that a downloaded file gets: the last part of the URL's path.

    Example:
        >>> download_name("https://example.com/a%20b/?x=1"), download_name("https://example.com")
        ('a b', '__unnamed__')
    """
    try:
        path = parse_web_url(url).path
    except ValueError:
        return _UNNAMED
    name = path.rstrip("/").rpartition("/")[2]
    return name if name not in ("", ".") else _UNNAMED


def _authority(authority: bytes, *, strict: bool) -> tuple[bytes, bytes]:
    userinfo, at, host = authority.rpartition(b"@")
    host = _host(host, strict=strict)
    if not at:
        return b"", host
    if not _USER.fullmatch(userinfo):
        raise ValueError("invalid user")
    parts = (_escaped(_unescaped(part), _ESCAPED_IN_USER) for part in userinfo.split(b":", 1))
    return b":".join(parts), host


def _host(host: bytes, *, strict: bool) -> bytes:
    if host.startswith(b"["):
        end = host.rfind(b"]")
        if end < 0 or host.rfind(b"[") > 0 or not _PORT.fullmatch(host[end + 1 :]):
            raise ValueError("invalid address or port")
        return b"[" + _address(host[1:end]) + b"]" + host[end + 1 :]
    # Schemes other than those of the web may have colons in their hosts.
    end = host.find(b":") if strict else host.rfind(b":")
    name, port = (host, b"") if end < 0 else (host[:end], host[end:])
    if b"[" in name or not _PORT.fullmatch(port):
        raise ValueError("invalid port")
    if _IN_HOST.search(_ESCAPE.sub(b"", name)) or _BAD_HOST_ESCAPE.search(name):
        raise ValueError("invalid character in host name")
    return _unescaped(name) + port


def _address(written: bytes) -> bytes:
    import ipaddress

    address = _unescaped(written)
    ipaddress.IPv6Address(_text(address))
    return address


def _escaped_path(written: bytes, path: bytes) -> bytes:
    """As it was written if that is a way to write it, else with everything escaped that should be."""
    usual = _escaped(path, _ESCAPED_IN_PATH)
    return written if _PATH_AS_WRITTEN.fullmatch(written) else usual


def _query(query: bytes) -> Iterator[tuple[str, str]]:
    for part in query.split(b"&"):
        if not part or b";" in part or _BAD_ESCAPE.search(part):
            continue
        key, _, value = part.replace(b"+", b" ").partition(b"=")
        yield _text(_unescaped(key)), _text(_unescaped(value))


def _escaped(data: bytes, unsafe: re.Pattern[bytes]) -> bytes:
    return unsafe.sub(lambda found: b"%%%02X" % found[0][0], data)


def _unescaped(data: bytes) -> bytes:
    if _BAD_ESCAPE.search(data):
        raise ValueError("invalid escape")
    return _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), data)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
