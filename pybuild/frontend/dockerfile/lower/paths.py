"""Paths in the image, for Unix and Windows images alike. Mirrors BuildKit's util/system/path.go."""

from __future__ import annotations

from pybuild.frontend.dockerfile.gotext import as_bytes, quote

DRIVE_ERROR = "The specified path is not on the system drive (C:)"


def go_join(*parts: str) -> str:
    """Go's `path.Join`: the parts that are not empty, joined and cleaned; `.` never stands for nothing.

    Example:
        >>> go_join("/a", "../b"), go_join("", "")
        ('/b', '')
    """
    present = [part for part in parts if part]
    return go_clean("/".join(present)) if present else ""


def go_clean(path: str) -> str:
    """Go's `path.Clean`.

    Example:
        >>> go_clean("a/../../b//c/"), go_clean("")
        ('../b/c', '.')
    """
    if not path:
        return "."
    rooted = path.startswith("/")
    kept: list[str] = []
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if part != "..":
            kept.append(part)
        elif kept and kept[-1] != "..":
            kept.pop()
        elif not rooted:
            kept.append(part)
    text = "/".join(kept)
    return "/" + text if rooted else text or "."


def to_slash(path: str, os_name: str) -> str:
    """With forward slashes, where the image is for Windows."""
    return path.replace("\\", "/") if os_name == "windows" else path


def from_slash(path: str, os_name: str) -> str:
    """With the separators of the image's system."""
    return path.replace("/", "\\") if os_name == "windows" else path


def without_drive(path: str, os_name: str, *, keep_slash: bool) -> str:
    """A Windows path without its drive letter, which must be C; other paths as they are.

    Raises:
        ValueError: another drive, a UNC path, or no path behind the drive.
    """
    if os_name != "windows":
        return path
    if len(path) == 2 and path.isascii() and path[1] == ":":
        raise ValueError(f"No relative path specified in {quote(path)}")
    if to_slash(path[:2], os_name) == "//":
        raise ValueError("UNC paths are not supported")
    drive, colon, rest = path.partition(":")
    if not colon:
        return _clean(path, os_name, keep_slash)
    if drive.lower() != "c":
        raise ValueError(DRIVE_ERROR)
    return _clean(rest, os_name, keep_slash)


def _clean(path: str, os_name: str, keep_slash: bool) -> str:
    path = to_slash(path, os_name)
    cleaned = go_clean(path)
    # A name of a single byte loses its slash, as in BuildKit.
    return cleaned + "/" if keep_slash and len(as_bytes(cleaned)) > 1 and path.endswith("/") else cleaned


def is_absolute(path: str, os_name: str) -> bool:
    """Whether a path of the image starts at its root."""
    try:
        return to_slash(without_drive(path, os_name, keep_slash=False), os_name).startswith("/")
    except ValueError:
        return False


def normalize(parent: str, path: str, os_name: str, *, keep_slash: bool) -> str:
    """`path`, seen from `parent`, as an absolute path with forward slashes.

    Raises:
        ValueError: see `without_drive`.

    Example:
        >>> normalize("/app", "src/", "linux", keep_slash=True)
        '/app/src/'
    """
    path, parent = to_slash(path, os_name), to_slash(parent, os_name)
    original = path
    try:
        parent = without_drive(parent or "/", os_name, keep_slash=keep_slash)
        if not is_absolute(parent, os_name):
            parent = go_join("/", parent)
        path = without_drive(path or parent, os_name, keep_slash=keep_slash)
    except ValueError as error:
        raise ValueError(f"removing drive letter: {error}") from None
    if not is_absolute(path, os_name):
        path = go_join(parent, path)
    if keep_slash:
        if original.endswith("/") and not path.endswith("/"):
            path += "/"
        elif original.endswith("/."):
            path = (path if path == "/" else path + "/") + "."
    return to_slash(path, os_name)


def working_dir(current: str, path: str, os_name: str) -> str:
    """The working directory after `WORKDIR path`, with the separators of the image's system.

    Raises:
        ValueError: see `without_drive`.
    """
    try:
        return from_slash(normalize(current, path, os_name, keep_slash=False), os_name)
    except ValueError as error:
        raise ValueError(f"normalizing working directory: {error}") from None
