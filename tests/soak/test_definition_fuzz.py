"""The long form of the fuzz test of definitions: PYBUILD_FUZZ_DEFINITIONS broken ones, a million in `make soak`."""

import faulthandler
import os
import random
import resource
import time

import pytest

from tests.mutate_definitions import bombs, mutants
from tests.unit.llb.test_fuzz import read, read_in_two_gigabytes

#: A thousand inputs that take longer than this, in seconds, end the run with their stack: one of them hangs. They take
#: half a second on a machine with nothing else to do.
LIMIT = 600
#: How much the process may grow over the whole run, in MiB.
GROWTH = 200


def test_broken_definitions_neither_crash_nor_hang_nor_leak() -> None:
    seed = int(os.environ.get("PYBUILD_FUZZ_SEED", random.SystemRandom().randrange(1 << 30)))
    count = int(os.environ.get("PYBUILD_FUZZ_DEFINITIONS", "10000"))
    slowest, graphs, data = 0.0, 0, b""
    print(f"seed {seed}")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        for number, data in enumerate(mutants(count, seed)):
            if number % 1000 == 0:
                faulthandler.dump_traceback_later(LIMIT, exit=True)
            start = time.process_time()
            graphs += read(data) is not None
            slowest = max(slowest, time.process_time() - start)
    except BaseException:
        print(f"with {data!r}")
        raise
    finally:
        faulthandler.cancel_dump_traceback_later()
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    print(f"{count} inputs, {graphs} graphs, the slowest took {slowest * 1000:.1f} ms, memory grew by {grown} MiB")
    assert grown < GROWTH


@pytest.mark.parametrize("name", [name for name, _ in bombs()])
def test_no_definition_takes_gigabytes(name: str) -> None:
    read_in_two_gigabytes(name)
