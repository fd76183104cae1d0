"""The long form of the Dockerfile fuzz test: 20,000 broken files, or PYBUILD_FUZZ_INPUTS of them."""

import faulthandler
import os
import random
import time

from tests.mutate import mutants
from tests.unit.frontend.dockerfile.test_fuzz import read

#: An input that takes longer than this, in seconds, ends the run with its stack.
LIMIT = 20


def test_broken_dockerfiles_neither_crash_nor_hang() -> None:
    seed = int(os.environ.get("PYBUILD_FUZZ_SEED", random.SystemRandom().randrange(1 << 30)))
    count = int(os.environ.get("PYBUILD_FUZZ_INPUTS", "20000"))
    slowest, parsed, data = 0.0, 0, b""
    print(f"seed {seed}")
    try:
        for data in mutants(count, seed):
            faulthandler.dump_traceback_later(LIMIT, exit=True)
            start = time.process_time()
            parsed += read(data) is not None
            slowest = max(slowest, time.process_time() - start)
    except BaseException:
        print(f"with {data!r}")
        raise
    finally:
        faulthandler.cancel_dump_traceback_later()
    print(f"{count} inputs, {parsed} parsed, the slowest took {slowest * 1000:.1f} ms")
