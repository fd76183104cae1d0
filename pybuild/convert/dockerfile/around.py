"""What a Dockerfile cannot hold and its build can: contexts with names, and options of all steps, as flags."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import attrs

from pybuild.llb.giturl import clean_subdir
from pybuild.llb.meta import ExecMeta
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Vertex

_CACHES = "BUILDKIT_CACHE_MOUNT_NS"
_KINDS = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")


class NoEquivalent(Exception):  # the name says what it tells
    """Something that a Dockerfile cannot say."""


@attrs.define(eq=False)
class Flags:
    """The flags of a build, as they turn out to be needed.

    Attributes:
        taken: names that contexts cannot have.
    """

    taken: set[str]
    _contexts: dict[str, tuple[str, str]] = attrs.field(factory=dict[str, "tuple[str, str]"])
    _steps: list[str] | None = None
    _arguments: dict[str, str] = attrs.field(factory=dict[str, str])

    def words(self) -> tuple[str, ...]:
        """All of them: a flag and its value in turn."""
        contexts = [word for name, place in self._contexts.values() for word in ("--build-context", f"{name}={place}")]
        arguments = [word for name, text in self._arguments.items() for word in ("--build-arg", f"{name}={text}")]
        return (*contexts, *(self._steps or ()), *arguments)

    def context(self, vertex: Vertex) -> str:
        """The name of the context that a source becomes.

        Raises:
            NoEquivalent: there is no context of that kind.
        """
        op = vertex.op
        assert isinstance(op, SourceOp)
        key = f"{op.identifier} {op.attrs}"
        if key not in self._contexts:
            self._contexts[key] = (self._new_name(op), _place(op, vertex.metadata.local_dir))
        return self._contexts[key][0]

    def _new_name(self, op: SourceOp) -> str:
        last = op.reference.partition("@")[0].partition("#")[0].rstrip("/").rpartition("/")[2].partition(":")[0]
        wanted = re.sub(r"[^a-z0-9]+", "-", last.lower().removesuffix(".git")).strip("-") or "context"
        name, number = wanted, 2
        while name in self.taken:
            name, number = f"{wanted}-{number}", number + 1
        self.taken.add(name)
        return name

    def step(self, meta: ExecMeta) -> None:
        """What a step has that the build says for all of them.

        Raises:
            NoEquivalent: an earlier step has something else.
        """
        found = _step_flags(meta)
        if self._steps is None:
            self._steps = found
        elif self._steps != found:
            raise NoEquivalent("hosts, limits or proxies that not all steps have")

    def cache_namespace(self, text: str) -> None:
        """What stands before the names of caches."""
        if text:
            self._arguments[_CACHES] = text

    def epoch(self, seconds: int | None) -> None:
        """The date of the build."""
        if seconds is not None:
            self._arguments["SOURCE_DATE_EPOCH"] = str(seconds)


def _place(op: SourceOp, directory: str) -> str:
    attrs_of: Mapping[str, str] = dict(op.attrs)
    match op.scheme:
        case "local":
            return _shown(directory or op.reference)
        case "oci-layout":
            name, _, digest = op.reference.partition("@")
            at = name.rpartition("/")[2].partition(":")[2] or f"@{digest}"
            return f"oci-layout://{_shown(directory)}{at if at.startswith('@') else f':{at}'}"
        case "git":
            return repository_url(op.identifier, attrs_of)
        case "http" | "https":
            return op.identifier
        case _:
            raise NoEquivalent(f"{op.identifier} as a source")


def _shown(directory: str) -> str:
    """A directory as it is named from here, if that is shorter."""
    path = Path(directory)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else directory


def _step_flags(meta: ExecMeta) -> list[str]:
    words = [word for host in meta.extra_hosts for word in ("--add-host", f"{host.host}={host.ip}")]
    words += [word for each in meta.ulimits for word in ("--ulimit", f"{each.name}={each.soft}:{each.hard}")]
    words += ["--cgroup-parent", meta.cgroup_parent] if meta.cgroup_parent else []
    words += ["--build-arg", f"BUILDKIT_SANDBOX_HOSTNAME={meta.hostname}"] if meta.hostname else []
    for kind in _KINDS if meta.proxy_env is not None else ():
        text: str = getattr(meta.proxy_env, kind)
        words += ["--build-arg", f"{kind.upper()}={text}"] if text else []
    return words


def repository_url(identifier: str, options: Mapping[str, str]) -> str:
    """A repository as ADD takes it: with a query where a fragment does not say it."""
    fragment = identifier.partition("#")[2]
    ref, _, subdir = fragment.partition(":")
    switches = {"submodules=false": "git.skipsubmodules", "fetch-by-commit=true": "git.fetchbycommit"}
    query = [text for text, name in switches.items() if name in options]
    address = options["git.fullurl"]
    if not query and subdir in ("", clean_subdir(subdir)):
        return f"{address}#{fragment}" if fragment else address
    query = [*([f"ref={ref}"] if ref else []), *([f"subdir={subdir}"] if subdir else []), *query]
    return f"{address}?{'&'.join(query)}"
