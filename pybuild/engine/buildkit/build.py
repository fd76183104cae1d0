"""One build on an engine, from the client's side: its session, its request, its progress, and its end.

Mirrors client/solve.go and client/build.go: `Control.Solve` runs beside `Control.Status`; with a function of the client
as the frontend, the build is what that function returns through the gateway.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import attrs

from pybuild.engine.buildkit.gateway import Gateway, Result, wire
from pybuild.engine.buildkit.pb import control_pb2 as pb
from pybuild.engine.buildkit.session import ClientSession, new_id
from pybuild.errors import EngineUnavailable, PybuildError, SolveError
from pybuild.llb.definition import Definition

if TYPE_CHECKING:
    from pybuild.engine.buildkit.channel import Answers, Call, Channel

_TICK: Final = 0.25
_QUIET_SECONDS: Final = 5.0
"""How long the status stream may be silent after the end (client/solve.go, `statusInactivityTimeout`)."""
_GRACE_SECONDS: Final = 3.0
"""How long an engine may take to acknowledge that a build was given up."""

_LOG_SECONDS: Final = 2.0
"""How long to wait for the output of a step that failed."""
_GIVEN_UP: Final = "context canceled"
_DECISIVE: Final = frozenset({"NOT_FOUND", "INVALID_ARGUMENT", "INTERNAL", "PERMISSION_DENIED"})
"""Codes of refusals that end a build; what is unavailable or there already is done without."""

Status = Callable[[pb.StatusResponse], object]
BuildFunction = Callable[[Gateway], Result]
"""Does the work of a frontend: solves, and returns what to export."""


@attrs.frozen(kw_only=True)
class CacheEntry:
    """A cache outside the engine to import from or export to: its type and attributes."""

    type: str
    attrs: Mapping[str, str] = attrs.field(factory=dict[str, str])


@attrs.frozen(kw_only=True)
class Request:
    """What to ask of an engine.

    Args:
        definition: what to solve; None with a frontend, or with a function.
        frontend: a frontend of the engine, such as `dockerfile.v0`.
        options: of the frontend.
        inputs: definitions that the frontend may use, by name.
        exports: type and attributes of each exporter.
        cache_imports: caches to look into.
        cache_exports: caches to write.
        entitlements: what steps may do that is not allowed by default, such as `security.insecure`.
    """

    definition: Definition | None = None
    frontend: str = ""
    options: Mapping[str, str] = attrs.field(factory=dict[str, str])
    inputs: Mapping[str, Definition] = attrs.field(factory=dict[str, Definition])
    exports: Sequence[tuple[str, Mapping[str, str]]] = ()
    cache_imports: Sequence[CacheEntry] = ()
    cache_exports: Sequence[CacheEntry] = ()
    entitlements: Sequence[str] = ()

    def message(self, build_id: str, session_id: str) -> pb.SolveRequest:
        """The request as a message."""
        made = pb.SolveRequest(
            Ref=build_id,
            Session=session_id,
            Definition=wire(self.definition) if self.definition is not None else None,
            Frontend=self.frontend,
            FrontendAttrs=dict(self.options),
            FrontendInputs={name: wire(value) for name, value in self.inputs.items()},
            Exporters=[pb.Exporter(Type=kind, Attrs=dict(given)) for kind, given in self.exports],
            Entitlements=list(self.entitlements),
            Cache=pb.CacheOptions(
                Exports=[
                    pb.CacheOptionsEntry(Type=entry.type, Attrs=dict(entry.attrs)) for entry in self.cache_exports
                ],
                Imports=[
                    pb.CacheOptionsEntry(Type=entry.type, Attrs=dict(entry.attrs)) for entry in self.cache_imports
                ],
            ),
        )
        if self.exports:  # engines of before 0.13 know these members only
            made.ExporterDeprecated = self.exports[0][0]
            made.ExporterAttrsDeprecated.update(self.exports[0][1])
        return made


class Build:
    """A build that goes on.

    Args:
        channel: the connection to the engine.
        session: what the client offers, not attached yet; closed at the end.
        status: called with each message about progress, from one thread.
    """

    def __init__(self, channel: Channel, session: ClientSession, status: Status) -> None:
        self.id = new_id()
        self._channel = channel
        self._session = session
        self._status = status
        self._wake = threading.Event()
        self._last_status = time.monotonic()
        self._outcome: list[Exception | None] = []

    def run(
        self, request: Request, function: BuildFunction | None = None, cancelled: threading.Event | None = None
    ) -> dict[str, str]:
        """Build, and wait for the end.

        Args:
            request: what to build, and what to do with the result.
            function: does the work of the frontend.
            cancelled: set it from another thread to give up.

        Returns:
            What the exporters say.

        Raises:
            SolveError: a step failed, or the build was given up.
            EngineUnavailable: the engine, or its connection to the session, is gone.
        """
        gateway = Gateway(self._channel, self.id, self._session.id)
        call: Call[pb.SolveResponse] | None = None
        statuses: Answers[pb.StatusResponse] | None = None
        try:
            self._session.attach(self._channel, ended=self._wake.set)
            call = self._channel.start(
                "/moby.buildkit.v1.Control/Solve", request.message(self.id, self._session.id), pb.SolveResponse
            )
            call.when_done(self._wake.set)
            statuses = self._channel.stream(
                "/moby.buildkit.v1.Control/Status", pb.StatusRequest(Ref=self.id), pb.StatusResponse
            )
            follower = threading.Thread(target=self._follow, args=(statuses,), daemon=True, name="status")
            follower.start()
            if function is not None:
                threading.Thread(target=self._call, args=(function, gateway), daemon=True, name="gateway").start()
            try:
                answer = self._wait(call, gateway, function is not None, cancelled)
            except SolveError:
                follower.join(_LOG_SECONDS if call.done else 0)  # what the step printed last may still be on its way
                raise
            self._wait_for_status(follower)
            return dict(answer.ExporterResponse)
        except BaseException:
            gateway.give_up()
            if call is not None and not call.done:
                call.cancel()
            raise
        finally:
            if statuses is not None:
                statuses.cancel()
            self._session.close()

    def _wait(
        self, call: Call[pb.SolveResponse], gateway: Gateway, has_function: bool, cancelled: threading.Event | None
    ) -> pb.SolveResponse:
        while not call.done:
            self._wake.wait(_TICK)
            self._wake.clear()
            if cancelled is not None and cancelled.is_set():
                raise SolveError("build canceled")
            if self._outcome and self._outcome[0] is not None:
                break
            if self._session.lost and not call.done:
                self._wake.wait(_TICK)
                if not call.done:
                    raise self._session_lost()
        error = self._failure(call)
        if error is not None:
            gateway.give_up()
            raise error
        if has_function:
            self._join()
        return call.result()

    def _failure(self, call: Call[pb.SolveResponse]) -> Exception | None:
        """Why the build failed: the function's own error says most, then what a service met, then the engine."""
        own = self._outcome[0] if self._outcome else None
        try:
            call.result(timeout=_GRACE_SECONDS)
        except TimeoutError:
            remote: Exception | None = EngineUnavailable("the engine does not end the build")
        except PybuildError as error:
            remote = error
        else:
            remote = None
        if own is None and remote is None:
            return None
        if isinstance(remote, PybuildError) and remote.message == _GIVEN_UP:
            self._explain(remote)
        if self._session.failures and not isinstance(own, SolveError):
            return self._session.failures[0]
        return own if own is not None and not isinstance(own, EngineUnavailable) else remote or own

    def _explain(self, remote: PybuildError) -> None:
        """Put what a service refused in place of what says nothing: that the engine gave up the rest of the build."""
        told = [refused for refused in self._session.refusals if refused.code in _DECISIVE]
        if told:
            remote.message = told[0].message
            remote.args = (remote.message,)

    def _session_lost(self) -> EngineUnavailable:
        reason = f": {self._channel.reason}" if self._channel.reason else ""
        return EngineUnavailable(
            f"the engine at {self._channel.address} ended the session of this build{reason}",
            hint="was it stopped? its own log says more",
        )

    def _call(self, function: BuildFunction, gateway: Gateway) -> None:
        try:
            gateway.connect()
            gateway.return_result(function(gateway))
        except Exception as error:  # the waiting thread raises it
            with contextlib.suppress(PybuildError):
                gateway.return_error(str(error))
            self._outcome.append(error)
        else:
            self._outcome.append(None)
        self._wake.set()

    def _join(self) -> None:
        end = time.monotonic() + _QUIET_SECONDS
        while not self._outcome and time.monotonic() < end:
            self._wake.wait(_TICK)
            self._wake.clear()

    def _follow(self, statuses: Answers[pb.StatusResponse]) -> None:
        with contextlib.suppress(PybuildError):  # the build's own call says why
            for message in statuses:
                self._last_status = time.monotonic()
                self._status(message)

    def _wait_for_status(self, follower: threading.Thread) -> None:
        """Progress lags behind the end a little."""
        self._last_status = time.monotonic()
        while follower.is_alive() and time.monotonic() - self._last_status < _QUIET_SECONDS:
            follower.join(_TICK)
