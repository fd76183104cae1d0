"""What `docker build` makes of its command line for the frontend: options by name, and the directories behind them.

Mirrors buildx (build/opt.go, `loadInputs`): the Dockerfile and the context are directories of the client, a URL, or
come in on standard input; `--build-context` names more of them. The names of the options are BuildKit's.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import attrs

from pybuild.errors import ArgumentError, DefinitionError
from pybuild.frontend.dockerfile.lower.contexts import DOCKERFILE, is_archive
from pybuild.values import Value

STDIN = "-"
_URL = re.compile(r"(?:https?|git|ssh)://|git@|github\.com/")
_SCHEMES = ("docker-image://", "git://", "http://", "https://", "git@", "ssh://", "input:", "target:")
_LAYOUT = "oci-layout://"
_HERE = Path()


@attrs.frozen(kw_only=True)
class Inputs(Value):
    """The input of one Dockerfile build.

    Attributes:
        options: frontend options by BuildKit's names: `build-arg:K`, `target`, `context:NAME` ...
        directories: what the options call local directories.
        layouts: directories in the OCI image layout, by the name of their store.
        dockerfile: the Dockerfile's text, where it is in no directory.
        keep: what must live as long as the build.
    """

    options: Mapping[str, str]
    directories: Mapping[str, Path]
    layouts: Mapping[str, Path] = attrs.field(factory=dict[str, Path])
    dockerfile: bytes | None = None
    keep: object = attrs.field(default=None, eq=False, repr=False)


def is_remote(context: str) -> bool:
    """Whether a context is fetched: a URL, or a git repository by any of its forms.

    Example:
        >>> is_remote("https://example.com/app.git#main"), is_remote("../app")
        (True, False)
    """
    return bool(_URL.match(context)) or (context.partition("#")[0].endswith(".git") and not Path(context).exists())


def read_inputs(
    context: str = ".",
    file: str | None = None,
    *,
    options: Mapping[str, str] | None = None,
    contexts: Mapping[str, str] | None = None,
    base: Path = _HERE,
) -> Inputs:
    """Find the Dockerfile and the directories of a build.

    Args:
        context: a directory, a URL, or `-`: an archive or a Dockerfile from standard input.
        file: the Dockerfile; `Dockerfile` of the context when None, standard input when `-`.
        options: further options of the frontend.
        contexts: named contexts: `docker-image://REF`, `oci-layout://PATH[:TAG]`, a path, a URL, or `target:STAGE` of
            the same Dockerfile.
        base: what relative paths start at.

    Raises:
        ArgumentError: a directory does not exist, or standard input is asked for twice.
        DefinitionError: standard input is empty, or no archive that can be read.
    """
    raw = dict(options or {})
    directories: dict[str, Path] = {}
    layouts: dict[str, Path] = {}
    for name, value in (contexts or {}).items():
        _add_context(name, value, base, raw, directories, layouts)
    found = Inputs(options=raw, directories=directories, layouts=layouts)
    if context == STDIN:
        if file == STDIN:
            raise ArgumentError("the Dockerfile and the context cannot both come from standard input")
        return _from_stdin(found, file)
    if is_remote(context):
        raw["context"] = context
        if file == STDIN:
            return _with_text(found, _stdin())
        if file is not None:
            raw["filename"] = file
        return found
    directories["context"] = _directory(base, context, "context")
    if file == STDIN:
        return _with_text(found, _stdin())
    place = directories["context"] / DOCKERFILE if file is None else base / file
    if not place.parent.is_dir():
        raise ArgumentError(f'the directory of "{file}" does not exist', hint="name the Dockerfile with --file")
    directories["dockerfile"] = place.parent
    raw["filename"] = place.name
    return found


def _directory(base: Path, path: str, what: str) -> Path:
    found = base / path
    if not found.is_dir():
        problem = "is not a directory" if found.exists() else "does not exist"
        raise ArgumentError(f'the {what} "{path}" {problem}', hint="give a directory, a URL, or - for standard input")
    return found


def _stdin() -> bytes:
    data = sys.stdin.buffer.read()
    if not data:
        raise DefinitionError("standard input is empty", hint="pipe a Dockerfile or a tar archive into it")
    return data


def _with_text(inputs: Inputs, text: bytes) -> Inputs:
    """The Dockerfile comes in as text: a directory of its own holds it, so that all else stays the same."""
    from pybuild.temporary import TemporaryFolder

    folder = TemporaryFolder("dockerfile-")
    place = folder.path
    (place / DOCKERFILE).write_bytes(text)
    options = {**inputs.options, "filename": DOCKERFILE, "dockerfilekey": "dockerfile"}
    directories = {**inputs.directories, "dockerfile": place}
    return attrs.evolve(inputs, options=options, directories=directories, keep=folder)


def _from_stdin(inputs: Inputs, file: str | None) -> Inputs:
    """An archive is the context; anything else is a Dockerfile, which then builds from nothing."""
    from pybuild.temporary import TemporaryFolder

    data = _stdin()
    folder = TemporaryFolder("context-")
    place = folder.path
    if not is_archive(data):
        empty = place / "context"
        empty.mkdir()
        return _with_text(attrs.evolve(inputs, directories={**inputs.directories, "context": empty}), data)
    import tarfile

    from pybuild.frontend.dockerfile.contextarchive import unpack_context

    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            unpack_context(archive, place)
    except (tarfile.TarError, OSError) as error:
        raise DefinitionError(f"the context from standard input cannot be unpacked: {error}") from None
    inside = file or DOCKERFILE
    return attrs.evolve(
        inputs,
        options={**inputs.options, "filename": inside},
        directories={**inputs.directories, "context": place, "dockerfile": place},
        keep=folder,
    )


def _add_context(
    name: str, value: str, base: Path, raw: dict[str, str], directories: dict[str, Path], layouts: dict[str, Path]
) -> None:
    """One `--build-context`: names are compared as references are, without the tag `latest`."""
    key = name.lower() if "/" not in name else name
    key = key.removesuffix(":latest").removeprefix("docker.io/library/").removeprefix("docker.io/")
    if value.startswith(_LAYOUT):
        raw[f"context:{key}"] = _layout(name, base, value.removeprefix(_LAYOUT), layouts)
    elif value.startswith(_SCHEMES) or is_remote(value):
        raw[f"context:{key}"] = value
    else:
        path = _directory(base, value, f"build context {name}")
        directory = f"context-{key}" if key in ("context", "dockerfile") else key
        directories[directory] = path
        raw[f"context:{key}"] = f"local:{directory}"
        raw[f"sharedkey:localdir:{key}"] = str(path.resolve())


def _layout(name: str, base: Path, text: str, layouts: dict[str, Path]) -> str:
    """`PATH[:TAG][@DIGEST]` as a reference with a digest, which frontends ask for."""
    from pybuild.oci.layout import Layout

    path, _, digest = text.partition("@")
    tag = ""
    while not (base / path).is_dir() and ":" in path:
        path, _, end = path.rpartition(":")
        tag = f"{end}:{tag}" if tag else end
    folder = _directory(base, path, f"build context {name}")
    if not digest:
        digest = str(Layout(folder).find(tag or "latest")[0].digest)
    store = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "layout"
    layouts[store] = folder
    return f"{_LAYOUT}{store}@{digest}"
