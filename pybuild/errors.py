"""All errors that pybuild raises on purpose.

    PybuildError
     |- DefinitionError            wrong use of the DSL, raised at the user's line
     |   |- ArgumentError          also TypeError
     |   |- ReferenceFormatError   an image reference, URL or platform that cannot be parsed
     |   |- MountConflictError     two mounts of one step on one target
     |   |- UnresolvedError        a lookup (image config, platform) is needed first
     |   |- TargetError            unknown target, cycle between targets, wrong arguments
     |- FrontendError
     |   |- DockerfileSyntaxError | InstructionError | BuildfileError
     |- ConfigError                the user's configuration file
     |- EngineError
     |   |- EngineUnavailable | CapabilityError | RemoteError | NotAllowed
     |- SolveError
     |   |- ExecError | SourceFetchError | FileActionError | ExportError | SecretNotFound
     |- StoreError
     |   |- NotFound | AlreadyExists | DigestMismatch | LeaseExpired | StoreFull | UnsafeArchive
     |- InternalError              a bug in pybuild

An error holds its facts as fields. Its text is made by `__str__` (one line) and by `pybuild.cli.diagnostics`
(snippet, log tail, hint). Lower layers raise without a location; the layer that knows the vertex adds it with
`PybuildError.at`. All errors survive pickling, so they can cross from the worker process to the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final, Self

if TYPE_CHECKING:
    from pybuild.location import Location

EXIT_OK, EXIT_STEP_FAILED, EXIT_USAGE, EXIT_DEFINITION = 0, 1, 2, 3
EXIT_ENGINE_UNAVAILABLE, EXIT_INTERNAL, EXIT_TRANSIENT, EXIT_INTERRUPTED = 69, 70, 75, 130

EXIT_CODES: Final = {
    EXIT_OK: "it worked",
    EXIT_STEP_FAILED: "a step, a source or an output failed",
    EXIT_USAGE: "the command line, or the configuration file, is wrong",
    EXIT_DEFINITION: "the Buildfile or Dockerfile is wrong",
    EXIT_ENGINE_UNAVAILABLE: "the engine cannot do this here; the message says what is missing",
    EXIT_INTERNAL: "a bug in pybuild",
    EXIT_TRANSIENT: "something failed that may work when tried again, such as a registry that does not answer",
    EXIT_INTERRUPTED: "interrupted by Ctrl-C or SIGTERM",
}
"""The exit codes of the command line, and what they mean."""


class PybuildError(Exception):
    """Base of every error here.

    Args:
        message: one line, lower case, values quoted, no final period.
        locations: where in the user's files; the first is the primary one.
        hint: what to do about it, as separate text.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = EXIT_STEP_FAILED

    def __init__(self, message: str, *, locations: Sequence[Location] = (), hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.locations: tuple[Location, ...] = tuple(locations)
        self.hint = hint

    def at(self, locations: Sequence[Location]) -> Self:
        """Attach `locations` unless the error has its own; returns the error, so that it can be raised at once."""
        if not self.locations:
            self.locations = tuple(locations)
        return self

    def __str__(self) -> str:
        return f"{self.message} ({self.locations[0]})" if self.locations else self.message

    def _render_traceback_(self) -> list[str]:
        """What a notebook prints instead of a traceback: the same as the command line."""
        from pybuild.cli.diagnostics import coloured

        return coloured(self)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args, dict(self.__dict__))


def _rebuild(cls: type[PybuildError], args: tuple[object, ...], state: dict[str, object]) -> PybuildError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class DefinitionError(PybuildError):
    """The graph, as the user wrote it, is wrong."""

    code = "definition"
    exit_code = EXIT_DEFINITION


class ArgumentError(DefinitionError, TypeError):
    """A value of the wrong type or form was passed to the public API."""

    code = "argument"


class ReferenceFormatError(DefinitionError, ValueError):
    """An image reference, digest, URL or platform cannot be parsed."""

    code = "reference-format"


class MountConflictError(DefinitionError):
    """Two mounts of one step have the same target."""

    code = "mount-conflict"

    def __init__(self, target: str, *, first: Location | None = None, second: Location | None = None) -> None:
        lines = f": {_place(first)} and {_place(second)}" if first and second else ""
        found = tuple(place for place in (second, first) if place is not None)
        super().__init__(f'two mounts at "{target}"{lines}', locations=found, hint="give one of them another target")
        self.target = target


def _place(location: Location) -> str:
    return f"line {location.line}"


class UnresolvedError(DefinitionError):
    """A definition was asked for that still depends on a lookup."""

    code = "unresolved"


class TargetError(DefinitionError):
    """A target does not exist, refers to itself, or was given wrong arguments."""

    code = "target"


class ConvertError(DefinitionError):
    """What is to be converted has no equivalent in the other language."""

    code = "convert"


class FrontendError(PybuildError):
    """A frontend cannot read its input."""

    code = "frontend"
    exit_code = EXIT_DEFINITION


class DockerfileSyntaxError(FrontendError):
    """A Dockerfile cannot be parsed."""

    code = "dockerfile-syntax"


class InstructionError(FrontendError):
    """A Dockerfile instruction is known but wrong."""

    code = "instruction"


class BuildfileError(FrontendError):
    """A Buildfile.py is missing, or raised while it was loaded."""

    code = "buildfile"


class ConfigError(PybuildError):
    """The configuration file is wrong; the location is the line in it."""

    code = "config"
    exit_code = EXIT_USAGE


class EngineError(PybuildError):
    """An engine cannot serve the request."""

    code = "engine"
    exit_code = EXIT_ENGINE_UNAVAILABLE


class EngineUnavailable(EngineError):
    """The engine cannot run on this host, or cannot be reached."""

    code = "engine-unavailable"


class CapabilityError(EngineError):
    """The engine does not support something that the graph needs."""

    code = "capability"


class NotAllowed(EngineError):
    """A step wants more than a sandbox, and whoever builds did not allow it."""

    code = "not-allowed"

    def __init__(self, entitlement: str, step: str = "") -> None:
        where = f' for the step "{step}"' if step else ""
        super().__init__(
            f"{entitlement} is not allowed{where}",
            hint=f'if you trust this definition, build with --allow {entitlement}, or allow=["{entitlement}"]',
        )
        self.entitlement = entitlement


class RemoteError(EngineError):
    """A remote engine answered with an error that has no class of its own."""

    code = "remote"

    def __init__(self, message: str, *, status: str = "", details: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.details = tuple(details)


class SolveError(PybuildError):
    """A step of the build failed.

    `vertex` is the digest of the failed vertex, `vertex_name` what progress calls it; both are empty until the
    solver has attached them.
    """

    code = "solve"
    vertex: str = ""
    vertex_name: str = ""


class ExecError(SolveError):
    """A command of a step ended with an exit code that is not among the valid ones.

    Args:
        argv: the command as run.
        exit_code_of_step: the process's own exit code, or 128 + signal.
        log: the whole output of the step.
        started: False when there was no such program, or it could not be started.
    """

    code = "exec-failed"

    def __init__(
        self, argv: Sequence[str], exit_code_of_step: int, *, log: bytes = b"", hint: str = "", started: bool = True
    ) -> None:
        ended = f"exited with code {exit_code_of_step}" if started else "could not be started"
        super().__init__(f'process "{_shortened(argv)}" {ended}', hint=hint)
        self.argv = tuple(argv)
        self.exit_code_of_step = exit_code_of_step
        self.log = log


def _shortened(argv: Sequence[str], limit: int = 160) -> str:
    """A command on one line; the user's own line, shown below it, has all of it."""
    text = " ".join(" ".join(argv).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


class OutsideError(SolveError):
    """Something outside the build did not do its part. `transient` says that trying again may help."""

    def __init__(self, message: str, *, transient: bool = False, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.transient = transient

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # depends on the instance here
        """75 when a retry may help, otherwise 1."""
        return EXIT_TRANSIENT if self.transient else EXIT_STEP_FAILED


class SourceFetchError(OutsideError):
    """A source (image, local directory, git repository, URL) cannot be had."""

    code = "source"


class FileActionError(SolveError):
    """An action of a file operation failed; `index` is the action's position within its vertex, from 0."""

    code = "file-action"

    def __init__(self, message: str, *, index: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.index = index


class ExportError(OutsideError):
    """The result was built but cannot be written where it should go."""

    code = "export"


class CacheImportError(OutsideError):
    """A cache that another build has written cannot be had, or is not what it should be."""

    code = "cache"


class SecretNotFound(SolveError):
    """A step needs a secret that the client does not offer."""

    code = "secret"

    def __init__(self, secret_id: str) -> None:
        super().__init__(f"secret {secret_id}: not found", hint=f"pass it with --secret id={secret_id},src=FILE")
        self.secret_id = secret_id


class StoreError(PybuildError):
    """The store refused an operation."""

    code = "store"


class NotFound(StoreError, LookupError):
    """The key or digest is not in the store."""

    code = "not-found"


class AlreadyExists(StoreError):
    """The key is taken already."""

    code = "already-exists"


class DigestMismatch(StoreError):
    """Content does not have the digest or size that was promised."""

    code = "digest-mismatch"

    def __init__(self, expected: str, actual: str) -> None:
        super().__init__(f"expected {expected}, got {actual}")
        self.expected = expected
        self.actual = actual


class LeaseExpired(StoreError):
    """A lease ended while its holder still needed it."""

    code = "lease-expired"


class StoreFull(StoreError):
    """No space is left on the store's file system."""

    code = "store-full"


class StoreDamaged(StoreError):
    """Something of the store was cut short, or written by something else: its database, or a blob."""

    code = "store-damaged"


class UnsafeArchive(StoreError):
    """A layer or archive tries to reach outside its root, or exceeds a limit."""

    code = "unsafe-archive"


class InternalError(PybuildError):
    """An invariant of pybuild does not hold: a bug, please report it."""

    code = "internal"
    exit_code = EXIT_INTERNAL
