"""Flags that several commands share, and the grammar of their values, which is that of docker buildx."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pybuild.errors import EXIT_USAGE, DefinitionError, PybuildError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Generator, Sequence

    from pybuild.dsl.buildfile import Buildfile
    from pybuild.dsl.target import Target
    from pybuild.protocols import CacheSpec, OutputSpec
    from pybuild.session.local import LocalSession
    from pybuild.session.secrets import EnvironmentSecret, SecretValue
    from pybuild.store.store import Store

_STREAMED = ("oci", "tar")
"""Types of output that go to standard output when nothing else is said."""


class UsageError(PybuildError):
    """A flag's value does not have the form that it needs."""

    code = "usage"
    exit_code = EXIT_USAGE


@contextmanager
def value_of(flag: str) -> Generator[None, None, None]:
    """Complaints about a flag's value are about the command line, not about the user's definition.

    Example:
        >>> from pybuild.platform import parse_platform
        >>> with value_of("--platform"):
        ...     str(parse_platform("linux/arm64"))
        'linux/arm64'
    """
    try:
        yield
    except DefinitionError as error:
        raise UsageError(f"{flag}: {error.message}", hint=error.hint) from None


def add_file(parser: argparse.ArgumentParser) -> None:
    """Which Buildfile or Dockerfile."""
    parser.add_argument(
        "-f",
        "--file",
        metavar="FILE",
        default=".",
        help="the Buildfile or Dockerfile (default: ./Buildfile.py, or ./Dockerfile)",
    )


def add_target(parser: argparse.ArgumentParser) -> None:
    """What to build: file, target, arguments."""
    parser.add_argument(
        "name",
        metavar="TARGET",
        nargs="?",
        help="which target (default: the default one); of a Dockerfile, the context",
    )
    add_file(parser)
    parser.add_argument("--target", metavar="NAME", help="the same as TARGET; of a Dockerfile, the stage")
    add_args(parser)


def add_args(parser: argparse.ArgumentParser) -> None:
    """Arguments, and what to build for."""
    add_arg(parser, "an argument of the target")
    parser.add_argument(
        "--platform",
        metavar="OS/ARCH",
        help="what to build for (default: this machine's platform); several, with commas, make one image index",
    )


def add_arg(parser: argparse.ArgumentParser, text: str) -> None:
    """Arguments; `text` says what of."""
    parser.add_argument(
        "--arg", "--build-arg", dest="args", metavar="NAME=VALUE", action="append", default=[], help=text
    )


def platforms_of(options: argparse.Namespace) -> list[str]:
    """What `--platform` asks for, checked, each once; empty when it was not given.

    Raises:
        UsageError: it is no platform.
    """
    if not options.platform:
        return []
    from pybuild.platform import parse_platforms

    with value_of("--platform"):
        return [str(platform) for platform in parse_platforms(name for name in options.platform.split(",") if name)]


def load_target(options: argparse.Namespace) -> tuple[Buildfile, Target[...]]:
    """The Buildfile, and the target that was asked for.

    Raises:
        UsageError: TARGET and --target disagree.
    """
    if options.name and options.target and options.name != options.target:
        raise UsageError(f'two targets are given: "{options.name}" and --target "{options.target}"')
    from pybuild.dsl.buildfile import load_buildfile

    buildfile = load_buildfile(options.file)
    return buildfile, buildfile.target(options.name or options.target)


def open_store(*, own: bool = False) -> Store:
    """The store that `--root` or the environment names.

    Args:
        own: to remove or look into all of its files, those of subordinate ids too.

    Raises:
        EngineUnavailable: the embedded engine, whose store it is, does not work on this system.
    """
    from pybuild.platform import require_linux

    require_linux()
    from pybuild.store.root import default_root
    from pybuild.store.store import Store

    if own:
        from pybuild.engine.ownership import own_files

        own_files(default_root())
    return Store.open(default_root())


def pairs(texts: Sequence[str], flag: str, *, environment: bool = True) -> dict[str, str]:
    """`NAME=VALUE` texts as a mapping.

    Args:
        texts: what was given.
        flag: how, for messages.
        environment: a name alone takes its value from the environment; otherwise its value is empty.

    Raises:
        UsageError: a name is empty, or not set in the environment.

    Example:
        >>> pairs(["version=1", "debug="], "--arg")
        {'version': '1', 'debug': ''}
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name:
            raise UsageError(f'{flag} "{text}": write NAME=VALUE')
        if not equals and environment:
            import os

            if name not in os.environ:
                raise UsageError(f'{flag} "{name}" has no value, and the environment has none of that name')
            value = os.environ[name]
        found[name] = value
    return found


def parse_output(text: str) -> OutputSpec:
    """One `--output`: `type=oci,dest=FILE,...`, a directory, or `-` for a tar archive on standard output.

    Archives go to standard output when they have no destination, as with buildx; a docker one goes into the Docker
    Engine that builds, or the Docker or podman of this machine.

    Raises:
        UsageError: a field is no pair, the type is missing or unknown, or a destination is missing.

    Example:
        >>> parse_output("out"), parse_output("-").type
        (OutputSpec(type='local', dest='out', attrs=()), 'tar')
    """
    from pybuild.exporter import TYPES
    from pybuild.pairs import fields_of, pairs_of
    from pybuild.protocols import OutputSpec

    fields = fields_of(text)
    if not fields or not fields[0]:
        raise UsageError("--output must not be empty", hint="write a directory, or type=TYPE,dest=FILE")
    if len(fields) == 1 and "=" not in fields[0]:
        return OutputSpec(type="tar" if fields[0] == "-" else "local", dest=fields[0])
    given = pairs_of(fields, lambda problem: UsageError(f'--output "{text}": {problem}'))
    kind = given.pop("type", "")
    if not kind:
        raise UsageError(f'--output "{text}": type is required', hint=f"one of {', '.join(TYPES)}")
    if kind not in TYPES:
        raise UsageError(f'--output "{text}": there is no type "{kind}"', hint=f"one of {', '.join(TYPES)}")
    dest = given.pop("dest", "") or ("-" if kind in _STREAMED else "")
    if not dest and kind == "local":
        raise UsageError(f'--output "{text}": type=local needs a destination', hint="add dest=DIRECTORY")
    return OutputSpec(type=kind, dest=dest, attrs=tuple(given.items()))


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Which engine builds."""
    import os

    parser.add_argument(
        "--engine",
        metavar="NAME",
        default=os.environ.get("PYBUILD_ENGINE") or "auto",
        help="embedded, docker, buildkit, an address such as tcp://HOST:PORT, several of them, or auto (default: auto)",
    )


def is_embedded(options: argparse.Namespace) -> bool:
    """Whether the engine is the one of this process."""
    if options.engine != "auto":
        return bool(options.engine == "embedded")
    from pybuild.engine.choose import automatic

    return automatic()[0] == "embedded"


def say_engine(options: argparse.Namespace) -> None:
    """Tell on standard error which engine "auto" chose, when that is not the one of this process."""
    if options.engine != "auto" or options.quiet:
        return
    import os

    if not os.environ.get("BUILDKIT_HOST") and sys.platform == "linux":
        return  # the embedded engine: what everything else costs is not worth a line
    from pybuild.engine.choose import automatic

    name, why = automatic()
    print(f"engine: {name} ({why})", file=sys.stderr)


def add_session(parser: argparse.ArgumentParser) -> None:
    """What is offered to a build: secrets and agents."""
    add = parser.add_argument
    add("--secret", metavar="SPEC", action="append", default=[], help="id=ID,src=FILE or id=ID,env=VARIABLE")
    add("--ssh", metavar="SPEC", action="append", default=[], help="default, or ID=SOCKET, or ID=KEY,KEY...")


def add_allow(parser: argparse.ArgumentParser) -> None:
    """What steps may do beyond a sandbox."""
    parser.add_argument(
        "--allow",
        metavar="ENTITLEMENT",
        action="append",
        default=[],
        help="let steps use more than a sandbox: network.host, security.insecure, device, device=NAME",
    )


def allowed(options: argparse.Namespace) -> tuple[str, ...]:
    """What `--allow` grants, checked.

    Raises:
        UsageError: there is no such entitlement.
    """
    if not options.allow:
        return ()
    from pybuild.engine.entitlements import parse_allowed

    with value_of("--allow"):
        return parse_allowed(options.allow)


def add_caches(parser: argparse.ArgumentParser) -> None:
    """Caches of other machines."""
    add = parser.add_argument
    add(
        "--cache-to",
        metavar="DEST",
        action="append",
        default=[],
        help="write a cache for other builds: type=registry,ref=NAME,mode=max, type=local,dest=DIRECTORY, type=inline",
    )
    add(
        "--cache-from",
        metavar="PLACE",
        action="append",
        default=[],
        help="look into a cache: type=registry,ref=NAME, type=local,src=DIRECTORY, or the name of an image",
    )


def caches(options: argparse.Namespace, flag: str) -> tuple[CacheSpec, ...]:
    """What `--cache-to` or `--cache-from` names, checked.

    Raises:
        UsageError: one of them is wrong.
    """
    given = getattr(options, flag[2:].replace("-", "_"))
    if not given:
        return ()
    from pybuild.remotecache.spec import parse_cache_specs

    with value_of(flag):
        return parse_cache_specs(given, flag)


def secrets(options: argparse.Namespace) -> dict[str, SecretValue | EnvironmentSecret]:
    """The secrets that `--secret` describes.

    Raises:
        UsageError: one of them is wrong.
    """
    from pybuild.session.secrets import parse_secrets

    with value_of("--secret"):
        return parse_secrets(options.secret)


def session(
    options: argparse.Namespace, offered: dict[str, SecretValue | EnvironmentSecret] | None = None
) -> LocalSession:
    """The session that `--secret` and `--ssh` describe.

    Raises:
        UsageError: one of them is wrong.
    """
    from pybuild._api import session_for

    found = secrets(options) if offered is None else offered
    with value_of("--ssh"):
        return session_for(found, options.ssh)


def add_format(parser: argparse.ArgumentParser) -> None:
    """A table for people, or JSON for programs."""
    parser.add_argument("--format", choices=("table", "json"), default="table", help="how to print (default: table)")


def size(count: float) -> str:
    """Bytes for people; see `quantities.size_text`."""
    from pybuild.quantities import size_text

    return size_text(count)


def parse_size(text: str) -> int:
    """Bytes from text such as `500MB`, `10GiB` or `1024`.

    Raises:
        UsageError: it is none.

    Example:
        >>> parse_size("1.5kB"), parse_size("1KiB"), parse_size("7")
        (1500, 1024, 7)
    """
    from pybuild.quantities import parse_size

    try:
        return parse_size(text)
    except ValueError as error:
        raise UsageError(str(error), hint="write 500MB or 10GiB") from None


def parse_duration(text: str) -> float:
    """Seconds from text such as `24h`, `90m` or `1h30m`.

    Raises:
        UsageError: it is none.

    Example:
        >>> parse_duration("1h30m"), parse_duration("45s")
        (5400.0, 45.0)
    """
    from pybuild.quantities import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(str(error), hint="write 24h, 90m or 1h30m") from None


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = (), width: int = 0) -> str:
    r"""Rows as aligned columns.

    Args:
        rows: the cells, the heading first.
        right: the columns that are aligned to the right.
        width: cut lines at so many characters; 0 for not at all.

    Example:
        >>> table([("NAME", "SIZE"), ("a", "10")], right=[1])
        'NAME  SIZE\na       10'
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join(line if not width or len(line) <= width else line[: width - 1] + "…" for line in lines)


def print_table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Print a table; on a terminal, lines end at its edge."""
    print(table(rows, right, terminal_width()))


def terminal_width() -> int:
    """The columns of the terminal that standard output is; 0 when it is none."""
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
