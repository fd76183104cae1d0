"""The worker: the process in which the embedded engine mounts, unpacks and runs things.

Started by the client as `python -m pybuild.engine.worker FD`, it enters its own mount and pid namespaces (and a user
namespace when rootless), so that everything it mounts and starts vanishes with it, even on `kill -9` of the client.
It plans the request again (cheap, and the store may have changed), runs what is missing, and exports.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pybuild.engine.channel import Call, Cancel, Channel, Done, Event, Failed, Reply, Resized, Start
from pybuild.errors import InternalError, PybuildError, SolveError
from pybuild.protocols import Console, ProgressEvent

if TYPE_CHECKING:
    from pybuild.engine.shellhost import ShellHost


class ChannelSink:
    """Progress over the channel. Losing the client is noticed elsewhere, so errors here are dropped."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def emit(self, event: ProgressEvent) -> None:
        """Send one event."""
        try:
            self._channel.send(Event(event=event))
        except OSError:
            os._exit(1)


class ChannelSession:
    """The client's session, asked over the channel; blocks the calling thread until the answer comes."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._ids = itertools.count(1)
        self._waiting: dict[int, tuple[threading.Event, list[Reply]]] = {}

    def local_dir(self, name: str) -> Path:
        """See protocols.Session."""
        return Path(str(self._ask("local_dir", name)))

    def secret(self, secret_id: str) -> bytes | None:
        """See protocols.Session."""
        value = self._ask("secret", secret_id)
        assert value is None or isinstance(value, bytes)
        return value

    def credentials(self, registry: str) -> tuple[str, str] | None:
        """See protocols.Session."""
        value = self._ask("credentials", registry)
        if value is None:
            return None
        user, password = cast("tuple[str, str]", value)
        return user, password

    def ssh_socket(self, agent_id: str) -> Path | None:
        """See protocols.Session."""
        value = self._ask("ssh_socket", agent_id)
        return None if value is None else Path(str(value))

    def answered(self, reply: Reply) -> None:
        """Wake the thread that waits for `reply`."""
        event, box = self._waiting.pop(reply.id)
        box.append(reply)
        event.set()

    def _ask(self, method: str, argument: str) -> object:
        number = next(self._ids)
        event, box = threading.Event(), list[Reply]()
        self._waiting[number] = (event, box)
        self._channel.send(Call(id=number, method=method, argument=argument))
        event.wait()
        if box[0].error is not None:
            raise box[0].error
        return box[0].value


def main(fd: int) -> int:
    """Serve one request over the socket `fd`; returns the exit code."""
    channel = Channel(socket.socket(fileno=fd))
    start = channel.receive()
    if not isinstance(start, Start):
        return 1
    from pybuild.engine.leftovers import sweep_workers
    from pybuild.runtime.namespaces import enter_worker_namespaces

    try:
        enter_worker_namespaces(rootless=start.rootless, clean_up=lambda: sweep_workers(Path(start.root)))
    except PybuildError as error:
        channel.send(Failed(error=error))
        return 1
    try:
        asyncio.run(_serve(channel, start))
    except BrokenPipeError:
        return 1
    return 0


async def _serve(channel: Channel, start: Start) -> None:
    from pybuild.engine.execution import solve_in_worker
    from pybuild.engine.shellhost import ShellHost, look_in_worker

    session = ChannelSession(channel)
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    host = ShellHost(channel, Console(stdin=start.stdin, stdout=start.stdout))
    reader = threading.Thread(target=_read, args=(channel, session, loop, task, host), daemon=True, name="channel")
    reader.start()
    try:
        solve = solve_in_worker if start.look is None else look_in_worker
        result = await solve(start, session, ChannelSink(channel), host)
    except asyncio.CancelledError:
        channel.send(Failed(error=SolveError("build canceled")))
    except PybuildError as error:
        channel.send(Failed(error=error))
    except Exception as error:  # the client must learn of it, whatever it is
        import traceback

        trace = "".join(traceback.format_exception(error))
        channel.send(Failed(error=InternalError(f"worker: {error!r}", hint=trace)))
    else:
        channel.send(Done(result=result))


def _read(
    channel: Channel,
    session: ChannelSession,
    loop: asyncio.AbstractEventLoop,
    task: asyncio.Task[object],
    host: ShellHost,
) -> None:
    """Take the client's messages; when the client is gone, this process, and all that it started, ends at once."""
    while True:
        match channel.receive():
            case Reply() as reply:
                session.answered(reply)
            case Cancel():
                loop.call_soon_threadsafe(task.cancel)
            case Resized():
                loop.call_soon_threadsafe(host.resized)
            case _:
                os._exit(1)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
