"""The flags of `docker buildx build` about steps and contexts, and what they are to the frontend."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pybuild.cli import flags

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pybuild.frontend.dockerfile.lint import LintWarning

_EPOCH: Final = "SOURCE_DATE_EPOCH"
_ONLY: Final = ("build_context", "syntax")
_REPEATED: Final = (
    ("--label", "KEY=VALUE", "a label of the image"),
    ("--add-host", "NAME:IP", "a line in /etc/hosts of every step"),
    ("--ulimit", "NAME=SOFT:HARD", "a resource limit of every step"),
)
_ONCE: Final = (
    ("--network", "MODE", "network of the steps that say nothing: default, none or host"),
    ("--shm-size", "SIZE", "size of /dev/shm"),
    ("--cgroup-parent", "PATH", "the cgroup that steps run below"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags, in groups of their own."""
    only = parser.add_argument_group("for Dockerfiles")
    only.add_argument(
        "--build-context",
        metavar="NAME=PLACE",
        action="append",
        default=[],
        help="another context: docker-image://REF, oci-layout://PATH[:TAG], a path, a URL, target:STAGE",
    )
    only.add_argument(
        "--syntax",
        metavar="NAME",
        help="read the file as if its first line were # syntax=NAME; pybuild adds EXPORT, IMPORT ...",
    )
    group = parser.add_argument_group("of all steps, and of the image")
    for flag, value, text in _REPEATED:
        group.add_argument(flag, metavar=value, action="append", default=[], help=text)
    for flag, value, text in _ONCE:
        group.add_argument(flag, metavar=value, help=text)
    group.add_argument("--pull", action="store_true", help="look every image up anew")


def refuse(options: argparse.Namespace) -> None:
    """Complain about the flags that are for Dockerfiles where there is none.

    Raises:
        UsageError: one was given.
    """
    for name in _ONLY:
        if getattr(options, name, None):
            flag = f"--{name.replace('_', '-')}"
            raise flags.UsageError(f"{flag} is for Dockerfiles", hint="a Buildfile says this itself")


def is_dockerfile(options: argparse.Namespace) -> bool:
    """Whether a Dockerfile is to be built: by the file's name, by what is named as context, or for want of else."""
    file = options.file
    if file not in (".", None):
        return not (Path(file).is_dir() or file.endswith(".py"))
    from pybuild.dsl.buildfile import DEFAULT_NAME

    context = Path(options.name or ".")
    if options.name and not _is_place(options.name):
        return False
    if not context.is_dir():
        return bool(options.name)
    return not (context / DEFAULT_NAME).exists() and any(
        (context / name).exists() for name in ("Dockerfile", "dockerfile")
    )


def _is_place(text: str) -> bool:
    """Whether a positional argument is a context rather than the name of a target."""
    from pybuild.frontend.dockerfile.inputs import is_remote

    return text == "-" or Path(text).is_dir() or os.sep in text or is_remote(text)


def frontend_options(options: argparse.Namespace) -> dict[str, str]:
    """What the flags are to the frontend, by BuildKit's names.

    Raises:
        UsageError: a value does not have the form that it needs.
    """
    found = {f"build-arg:{name}": value for name, value in _build_args(options.args).items()}
    found |= {
        f"label:{name}": value for name, value in flags.pairs(options.label, "--label", environment=False).items()
    }
    if options.syntax:
        found["build-arg:BUILDKIT_SYNTAX"] = options.syntax
    if options.target:
        found["target"] = options.target
    platforms = flags.platforms_of(options)
    if platforms:
        found["platform"] = ",".join(platforms)
    if getattr(options, "no_cache", False):
        found["no-cache"] = ""
    elif getattr(options, "no_cache_filter", None):
        found["no-cache"] = ",".join(options.no_cache_filter)
    if options.pull:
        found["image-resolve-mode"] = "pull"
    if options.network and options.network != "default":
        found["force-network-mode"] = options.network
    if options.add_host:
        found["add-hosts"] = ",".join(_host(text) for text in options.add_host)
    for flag, name in (("shm_size", "shm-size"), ("cgroup_parent", "cgroup-parent")):
        if getattr(options, flag):
            found[name] = _bytes(options.shm_size) if name == "shm-size" else getattr(options, flag)
    if options.ulimit:
        found["ulimit"] = ",".join(options.ulimit)
    epoch = os.environ.get(_EPOCH)
    if epoch:
        found.setdefault(f"build-arg:{_EPOCH}", epoch)
    return found


def _build_args(texts: Sequence[str]) -> dict[str, str]:
    """As docker: a name alone takes its value from the environment, and says nothing when there is none."""
    known = [text for text in texts if "=" in text or text in os.environ]
    return flags.pairs(known, "--build-arg")


def _host(text: str) -> str:
    name, separator, address = text.partition("=" if "=" in text else ":")
    if not separator or not name or not address:
        raise flags.UsageError(f'--add-host "{text}": write NAME:IP')
    return f"{name}={address.strip('[]')}"


def _bytes(text: str) -> str:
    import re

    if not re.fullmatch(r"\d+(\.\d+)?\s*([kmgt]i?)?b?", text.strip().lower()):
        raise flags.UsageError(f'--shm-size "{text}" is not a size', hint="write 64m or 1g")
    number, unit = re.match(r"([\d.]+)\s*([kmgt]?)", text.strip().lower()).groups()  # type: ignore[union-attr]
    return str(int(float(number) * 1024 ** " kmgt".index(unit or " ")))


def contexts(options: argparse.Namespace) -> dict[str, str]:
    """`--build-context` by name.

    Raises:
        UsageError: one is no pair.
    """
    return flags.pairs(options.build_context, "--build-context")


def print_warnings(warnings: Sequence[LintWarning]) -> None:
    """The warnings of the lint rules, as docker prints them after a build."""
    if not warnings:
        return
    count = "1 warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
    lines = [f" - {warning.rule.name}: {warning.message} ({warning.place})" for warning in warnings]
    print("\n".join([f"\n{count} found (use --check to see the lines):", *lines]), file=sys.stderr)
