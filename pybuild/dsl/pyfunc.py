"""Lowering of `State.call`: a Python function as an exec step.

The payload (`portable`), a small runner and the source of cloudpickle, which loads it, become files that the step
sees read-only at /dev/pybuild; so the image needs nothing but Python of the same version. A shell line looks for
it and says so when it is missing. The step's digest covers all of these bytes.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from importlib import resources

from pybuild.dsl import context
from pybuild.dsl.config import Folded
from pybuild.dsl.mount import Mount
from pybuild.dsl.run import Run, make_run, run_metadata
from pybuild.llb import construct, mounts
from pybuild.llb.files import FileAction, MkdirAction, MkfileAction
from pybuild.llb.vertex import Edge
from pybuild.location import Location
from pybuild.platform import Platform

_DIRECTORY = "/dev/pybuild"
_BOOTSTRAP = f"""\
for python in "python$2" python3 python; do
  command -v "$python" >/dev/null 2>&1 && exec "$python" -B -u {_DIRECTORY}/run.py
done
echo "call($1) needs Python $2, and this image has no python3" >&2
exit 127
"""


def make_call(
    base: Edge | None,
    config: Folded,
    platform: Platform | None,
    function: Callable[..., object],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
    location: Location,
) -> Run:
    """The run that calls `function` on top of `base`."""
    from pybuild.dsl import portable

    name = portable.function_name(function)
    payload = portable.dumps(function, args, kwargs)
    run = make_run(  # noqa: S604  # no process is started here
        base,
        config,
        platform,
        ["/bin/sh", f"{_DIRECTORY}/call", name, f"{sys.version_info[0]}.{sys.version_info[1]}"],
        env=None,
        workdir=None,
        user=None,
        network=None,
        security="sandbox",
        shell=True,  # no process is started here
        valid_exit_codes=(0,),
        metadata=run_metadata(name=f"call {name}", use_cache=True, memory=None, cpus=None, timeout=None),
        location=location,
    )
    spec = mounts.BindMount(target=_DIRECTORY, readonly=True)
    edge = _files(name, payload, location)
    return run.attach([Mount(spec=spec, edge=edge, location=location)], location)


def _files(name: str, payload: bytes, location: Location) -> Edge:
    metadata = context.metadata()
    support: list[tuple[FileAction, Edge | None]] = [
        (MkdirAction(path="/cloudpickle", mode=0o755), None),
        *((MkfileAction(path=path, data=data, mode=0o644), None) for path, data in _support().items()),
    ]
    runner = construct.file(
        None, support, metadata=metadata.named("[internal] python function runner"), locations=[location]
    )
    action = MkfileAction(path="/payload", data=payload, mode=0o644)
    named = metadata.named(f"[internal] payload of {name}")
    return Edge(construct.file(Edge(runner), [(action, None)], metadata=named, locations=[location]))


@functools.cache
def _support() -> dict[str, bytes]:
    """What every call needs: the way to Python, the runner, and cloudpickle as it is installed here."""
    cloudpickle = resources.files("cloudpickle")
    return {
        "/call": _BOOTSTRAP.encode(),
        "/cloudpickle/__init__.py": cloudpickle.joinpath("__init__.py").read_bytes(),
        "/cloudpickle/cloudpickle.py": cloudpickle.joinpath("cloudpickle.py").read_bytes(),
        "/run.py": resources.files("pybuild.dsl").joinpath("callrunner.py").read_bytes(),
    }
