"""Several BuildKits as one engine: a build is spread over them by platform, and what they make becomes one result.

    --engine docker://,tcp://arm.example.com:1234?platform=linux/arm64+linux/arm/v7

As a builder of buildx with several nodes (buildx, build/driver.go): a node that says which platforms are its own goes
before those that only can build them, and a node whose machine has a platform before one that emulates it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlencode

import attrs

from pybuild.engine.buildkit.engine import BuildKitEngine
from pybuild.engine.buildkit.gathered import gather, shared
from pybuild.errors import EngineUnavailable
from pybuild.exporter.several import check_outputs
from pybuild.llb.vertex import Graph
from pybuild.platform import Platform, matches, parse_platform
from pybuild.protocols import (
    EngineInfo,
    ExportResult,
    OutputSpec,
    ProgressEvent,
    ProgressSink,
    Session,
    SolveRequest,
    SolveResult,
)
from pybuild.temporary import TemporaryFolder

_TICK: Final = 0.1
_PLATFORM: Final = "platform"


class Node:
    """One BuildKit of several.

    Args:
        text: its address, with `platform=A+B` among its options for what it is there for.

    Raises:
        EngineUnavailable: the text is no address.
        PlatformFormatError: it names something that is no platform.
    """

    def __init__(self, text: str) -> None:
        place, _, query = text.partition("?")
        options = parse_qsl(query.replace("+", "%2B"))
        named = "+".join(value for name, value in options if name == _PLATFORM)
        self.declared = tuple(parse_platform(name) for name in named.split("+") if name)
        rest = urlencode([(name, value) for name, value in options if name != _PLATFORM], safe="/:")
        self.address = f"{place}?{rest}" if rest else place
        self.engine = BuildKitEngine(self.address)
        self._found: tuple[Platform, ...] | None = None

    @property
    def found(self) -> tuple[Platform, ...]:
        """What it can build, the platform of its machine first. Raises EngineUnavailable."""
        if self._found is None:
            self._found = self.engine.describe().platforms
        return self._found


def choose(platform: Platform, nodes: Sequence[Node]) -> Node:
    """The node for a platform.

    Raises:
        EngineUnavailable: no node builds it.
    """
    preferences: list[Callable[[Node], Sequence[Platform]]] = [
        lambda node: node.declared,
        lambda node: () if node.declared else node.found[:1],
        lambda node: node.found,
    ]
    for offered in preferences:
        for node in nodes:
            if any(matches(platform, one) for one in offered(node)):
                return node
    known = "; ".join(f"{node.address}: {', '.join(map(str, node.declared or node.found))}" for node in nodes)
    raise EngineUnavailable(f"no node builds for {platform}", hint=f"the nodes build {known}")


class SeveralNodes(BuildKitEngine):
    """Solves graphs on several BuildKits, each for its platforms. What is asked of one is asked of the first.

    Args:
        nodes: where they are.
    """

    def __init__(self, nodes: Sequence[str]) -> None:
        self.nodes = [Node(text) for text in nodes]
        super().__init__(self.nodes[0].address)

    def describe(self) -> EngineInfo:
        """See BuildKitEngine."""
        each = [node.engine.describe() for node in self.nodes]
        platforms = dict.fromkeys(platform for info in each for platform in info.platforms)
        details = [detail for info in each for detail in info.details]
        return EngineInfo(name=self.name, version=each[0].version, platforms=tuple(platforms), details=tuple(details))

    def close(self) -> None:
        """End all connections."""
        super().close()
        for node in self.nodes:
            node.engine.close()

    def run(
        self,
        request: SolveRequest,
        session: Session,
        sink: ProgressSink,
        cancelled: threading.Event | None = None,
    ) -> SolveResult:
        """See BuildKitEngine. When a node fails, the others stop, and its error is the build's."""
        parts: dict[int, list[int]] = {}
        for number, variant in enumerate(request.variants):
            parts.setdefault(self.nodes.index(choose(variant.platform, self.nodes)), []).append(number)
        if len(parts) == 1:
            return self.nodes[next(iter(parts))].engine.run(request, session, sink, cancelled)
        check_outputs(request)
        started = time.time()
        with TemporaryFolder() as folder:
            asked = {
                node: shared(
                    request, [request.variants[number].platform for number in numbers], Path(folder) / str(node)
                )
                for node, numbers in parts.items()
            }
            requests = {node: _part(request, numbers, asked[node].outputs) for node, numbers in parts.items()}
            made = self._all(requests, session, _Locked(sink), cancelled)
            done = [attrs.evolve(asked[node], exports=made[node].exports) for node in parts]
            exports = gather(request, done, session)
        return _joined(request, parts, made, exports, time.time() - started)

    def _all(
        self,
        requests: Mapping[int, SolveRequest],
        session: Session,
        sink: ProgressSink,
        cancelled: threading.Event | None,
    ) -> dict[int, SolveResult]:
        stop = threading.Event()
        with ThreadPoolExecutor(max_workers=len(requests), thread_name_prefix="node") as pool:
            running = {
                node: pool.submit(self.nodes[node].engine.run, part, session, sink, stop)
                for node, part in requests.items()
            }
            try:
                _follow(list(running.values()), cancelled)
            except BaseException:
                stop.set()
                raise
            return {node: future.result() for node, future in running.items()}


def _follow(running: Sequence[Future[SolveResult]], cancelled: threading.Event | None) -> None:
    """Wait for all, or for the first that fails; raises its error."""
    from pybuild.errors import SolveError

    pending = set(running)
    while pending:
        done, pending = wait(pending, timeout=_TICK, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
        if cancelled is not None and cancelled.is_set():
            raise SolveError("build canceled")


def _part(request: SolveRequest, numbers: Sequence[int], outputs: Sequence[OutputSpec]) -> SolveRequest:
    """What one node is to build."""
    variants = [request.variants[number] for number in numbers]
    return attrs.evolve(
        request,
        graph=Graph([request.graph.heads[number] for number in numbers]),
        patch=variants[0].patch,
        platform=variants[0].platform,
        further=tuple(variants[1:]),
        outputs=tuple(outputs),
    )


def _joined(
    request: SolveRequest,
    parts: Mapping[int, Sequence[int]],
    made: Mapping[int, SolveResult],
    exports: Sequence[ExportResult],
    duration: float,
) -> SolveResult:
    heads = {
        number: made[node].graph.heads[place] for node, numbers in parts.items() for place, number in enumerate(numbers)
    }
    first = next(node for node, numbers in parts.items() if 0 in numbers)
    return attrs.evolve(
        made[first],
        steps=tuple(step for node in parts for step in made[node].steps),
        exports=tuple(exports),
        duration=duration,
        graph=Graph([heads[number] for number in range(len(request.variants))]),
    )


class _Locked:
    """A sink for several threads."""

    def __init__(self, sink: ProgressSink) -> None:
        self._sink = sink
        self._lock = threading.Lock()

    def emit(self, event: ProgressEvent) -> None:
        """See protocols.ProgressSink."""
        with self._lock:
            self._sink.emit(event)
