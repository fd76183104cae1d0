"""The scheduler: works off the steps of a job that are not cached, as many at once as the machine takes.

Single-threaded code on one asyncio loop; each step is a task that first finishes its unsettled inputs, then looks
itself up again (their content may match), and only then runs, under a lock that makes sure that no other process
runs the same step at the same time. The first failure cancels everything else. Tasks await tasks, so chains of any
length work without recursion.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import attrs

from pybuild.digest import digest_of
from pybuild.errors import CacheImportError, PybuildError, SolveError
from pybuild.protocols import (
    CacheLink,
    CacheRecord,
    CacheStore,
    Ref,
)
from pybuild.solver.imported import content_links
from pybuild.solver.lookup import content_link, definition_links, result_key
from pybuild.solver.plan import Planner
from pybuild.solver.report import Reporter
from pybuild.solver.state import Job, Step


@attrs.frozen(kw_only=True)
class Made:
    """What running a step gave: a ref per output, and the bytes that its own layer takes (-1: not known)."""

    refs: dict[int, Ref]
    size: int = -1


@attrs.frozen(kw_only=True)
class Brought:
    """What fetching a source gave. `fresh`: it was not in the store before."""

    ref: Ref
    fresh: bool = True


class Runner(Protocol):
    """Does the work of single steps (implemented in `runner.py`)."""

    async def fetch(self, step: Step) -> Brought:
        """Bring a source in."""
        ...

    async def execute(self, step: Step, inputs: Sequence[Ref]) -> Made:
        """Run a step on the trees of its inputs."""
        ...

    async def bring(self, step: Step, output: int) -> Ref:
        """Bring a result in that an imported cache has. Raises CacheImportError: it is not there, or damaged."""
        ...


class Holder(Protocol):
    """Takes stored results under the build's lease."""

    def hold_result(self, result_key: str) -> CacheRecord | None:
        """The record, safe from being collected from now on, or None when it is gone."""
        ...


class StepLocks(Protocol):
    """Cross-process locks by name."""

    def try_exclusive(self, name: str) -> LockHandle | None:
        """The lock, or None when somebody has it."""
        ...


class LockHandle(Protocol):
    """A held lock."""

    def release(self) -> None:
        """Give it back."""
        ...


_LOCK_POLL_SECONDS = 0.05


class Scheduler:
    """Runs one job.

    Args:
        job: planned already.
        planner: looks steps up again once their inputs are known.
        runner: does the work.
        cache: where results are stored.
        holder: the build's lease.
        locks: cross-process locks.
        reporter: is told how steps go.
        slots: how many steps run at once.
    """

    def __init__(
        self,
        job: Job,
        *,
        planner: Planner,
        runner: Runner,
        cache: CacheStore,
        holder: Holder,
        locks: StepLocks,
        reporter: Reporter,
        slots: int,
    ) -> None:
        self.job = job
        self.planner = planner
        self.runner = runner
        self.cache = cache
        self.holder = holder
        self.locks = locks
        self.reporter = reporter
        self._slots = asyncio.Semaphore(slots)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._fetches: dict[int, asyncio.Task[Ref]] = {}
        self._brought: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._refs: dict[tuple[int, int], Ref] = {}
        self._failure: BaseException | None = None

    async def run(self) -> list[Ref]:
        """Finish every head; returns their refs, in order.

        Raises:
            SolveError: the first step that failed; everything else was cancelled and cleaned up.
        """
        for step in self.job.steps:
            if step.state == "cached":
                self.reporter.cached(step)
        try:
            pending = [self._finish(head[0]) for head in self.job.heads if head is not None]
            if pending:
                await asyncio.wait(pending, return_when=asyncio.FIRST_EXCEPTION)
            self._raise_failure()
            return [Ref(snapshot="") if head is None else await self._ref(*head) for head in self.job.heads]
        except asyncio.CancelledError:
            self._raise_failure()
            raise
        finally:
            await self._stop_all()

    # ------------------------------------------------------------------------------------------------ tasks

    def _finish(self, step: Step) -> asyncio.Task[None]:
        task = self._tasks.get(step.number)
        if task is None:
            task = asyncio.create_task(self._work(step))
            task.add_done_callback(self._on_done)
            self._tasks[step.number] = task
        return task

    def _on_done(self, task: asyncio.Task[None] | asyncio.Task[Ref]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        if self._failure is None:
            self._failure = error
            for other in (*self._tasks.values(), *self._fetches.values()):
                if other is not task:
                    other.cancel()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    async def _stop_all(self) -> None:
        tasks: list[asyncio.Task[Any]] = [*self._tasks.values(), *self._fetches.values(), *self._brought.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, step: Step) -> None:
        if step.settled:
            return
        below = [self._finish(inner) for inner, _ in step.inputs if not inner.settled]
        if below:
            await asyncio.gather(*dict.fromkeys(below))
        if await self._settle(step):
            self.reporter.cached(step)
            return
        async with self._locked(step):
            if not step.no_cache and await self._settle(step):
                self.reporter.cached(step)
                return
            await self._execute(step)

    async def _settle(self, step: Step) -> bool:
        """Look `step` up; fetches sources whose content alone can still decide."""
        if step.no_cache:
            return False
        await self._look_up(step)
        if step.state == "maybe" or (not step.settled and self._fetchable(step)):
            await asyncio.gather(*(self._fetch(source) for source in self._fetchable(step)))
            await self._look_up(step)
        return step.settled

    async def _look_up(self, step: Step) -> None:
        learned = await asyncio.to_thread(self.planner.settle, step)
        for key, links in learned:
            await asyncio.to_thread(self.cache.add_links, key, links)

    def _fetchable(self, step: Step) -> list[Step]:
        if not all(below.is_source or below.settled for below, _ in step.inputs):
            return []
        if any(not spec.by_content and self._misses(step, number) for number, spec in enumerate(step.map.inputs)):
            return []
        return [
            below
            for number, (below, _) in enumerate(step.inputs)
            if below.is_source and step.map.inputs[number].by_content and below.number not in self._fetches
        ]

    def _misses(self, step: Step, number: int) -> bool:
        output = min(step.needed, default=0)
        links = [link for link in definition_links(step, output) if link.input_index == number]
        return not links or not self.cache.query(links[0])

    @asynccontextmanager
    async def _locked(self, step: Step) -> AsyncGenerator[None]:
        output = min(step.needed, default=0)
        links = definition_links(step, output)
        name = "step:" + digest_of(step.map.op_digest, tuple((link.input_key, link.selector) for link in links))
        handle = await asyncio.to_thread(self.locks.try_exclusive, name)
        while handle is None:
            await asyncio.sleep(_LOCK_POLL_SECONDS)
            handle = await asyncio.to_thread(self.locks.try_exclusive, name)
        try:
            yield
        finally:
            handle.release()

    # ---------------------------------------------------------------------------------------------- results

    async def _ref(self, step: Step, output: int) -> Ref:
        """The tree of one output; brings a source in, or takes a stored result under the lease."""
        if step.is_source:
            return await self._fetch(step)
        made = self._refs.get((step.number, output))
        if made is not None:
            return made
        if not step.settled:  # somebody else who needs it found its result gone
            await self._finish(step)
            return await self._ref(step, output)
        record = await asyncio.to_thread(self.holder.hold_result, step.keys[output])
        if record is None and output in step.remote and not step.distrusted:
            return await self._bring(step, output)
        if record is None:
            # Collected between the look-up and now, or its import is damaged: the step simply runs again.
            step.state, step.keys = "run", {}
            self._tasks.pop(step.number, None)
            await self._finish(step)
            return await self._ref(step, output)
        self._refs[step.number, output] = record.ref
        return record.ref

    def _fetch(self, step: Step) -> asyncio.Task[Ref]:
        task = self._fetches.get(step.number)
        if task is None:
            task = asyncio.create_task(self._fetch_source(step))
            task.add_done_callback(self._on_done)
            self._fetches[step.number] = task
        return task

    async def _bring(self, step: Step, output: int) -> Ref:
        """The tree of an imported result; when it cannot be had, that of the step, which runs."""
        key = (step.number, output)
        task = self._brought.get(key)
        if task is None:
            task = self._brought[key] = asyncio.create_task(self._bring_result(step, output))
        try:
            await asyncio.shield(task)
        except CacheImportError as error:
            if not step.distrusted:
                step.distrusted = True
                step.remote.clear()
                self.reporter.warn(f"{error.message}; the step runs", step)
        return await self._ref(step, output)

    async def _bring_result(self, step: Step, output: int) -> None:
        ref = await self.runner.bring(step, output)
        await asyncio.to_thread(self._store_import, step, output, ref)
        self._refs[step.number, output] = ref

    def _store_import(self, step: Step, output: int, ref: Ref) -> None:
        """From now on the store has the result as if the step had run here, when it ran there."""
        assert self.planner.imports is not None
        links = definition_links(step, output) + content_links(step, output, self.planner.imports)
        record = CacheRecord(
            result_key=step.keys[output],
            ref=ref,
            description=step.vertex.name,
            created=step.remote[output].created,
            last_used=time.time(),
            usage_count=1,
            duration=0.0,
        )
        self.cache.save(record, links)

    async def _fetch_source(self, step: Step) -> Ref:
        started = self.reporter.started(step)
        try:
            brought = await self.runner.fetch(step)
        except BaseException as error:
            self.reporter.failed(step, started, error)
            raise _located(error, step) from None
        if brought.fresh:
            self.reporter.done(step, started)
        else:
            self.reporter.cached(step)
        return brought.ref

    async def _execute(self, step: Step) -> None:
        inputs = await asyncio.gather(*(self._ref(below, output) for below, output in step.inputs))
        async with self._slots:
            started = self.reporter.started(step)
            try:
                made = await self.runner.execute(step, inputs)
                await asyncio.to_thread(self._save, step, made, time.time() - started)
            except BaseException as error:
                self.reporter.failed(step, started, error)
                raise _located(error, step) from None
        self.reporter.done(step, started, made.size)

    def _save(self, step: Step, made: Made, duration: float) -> None:
        now = time.time()
        contents = {
            number: content
            for number, spec in enumerate(step.map.inputs)
            if spec.by_content and (content := self.planner.content_of(step, number)) is not None
        }
        for output, ref in made.refs.items():
            key = result_key(step, output)
            if (step.no_cache or step.expired) and self.cache.load(key) is not None:
                key = result_key(step, output, nonce=repr(now))
            links: list[CacheLink] = definition_links(step, output)
            links += [content_link(step, number, content, output) for number, content in contents.items()]
            record = CacheRecord(
                result_key=key,
                ref=ref,
                description=step.vertex.name,
                created=now,
                last_used=now,
                usage_count=1,
                duration=duration,
            )
            self.cache.save(record, links)
            step.keys[output] = key
            self._refs[step.number, output] = ref
        step.state = "cached"


def _located(error: BaseException, step: Step) -> BaseException:
    """The error with the step's facts attached."""
    if isinstance(error, PybuildError):
        error.at(step.vertex.locations)
    if isinstance(error, SolveError) and not error.vertex:
        error.vertex, error.vertex_name = step.vertex.digest, step.vertex.name
    return error
