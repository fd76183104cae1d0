"""A build in CI, on a machine that has nothing: it looks into the last run's cache, and writes one for the next.

Try it with two stores, which are as good as two machines:

    pybuild --root /tmp/one build --cache-to type=local,dest=cache,mode=max
    pybuild --root /tmp/two build --cache-from type=local,src=cache -o type=oci,dest=news.tar

In real life the cache is in a registry: `type=registry,ref=registry.example.com/news:cache,mode=max`.
"""

import os
from pathlib import Path

from pybuild import State, oci_layout, scratch, target

# Made by `make demo` from Debian's packages. Where there is a registry: base = image("debian:bookworm")
BASE = os.environ.get("PYBUILD_BASE") or Path.home() / ".cache/pybuild/base/debian-bookworm"
base = oci_layout(BASE, "debian:bookworm")


@target
def headlines() -> State:
    """What is new; a result older than a day is not used again, from whatever machine it came."""
    return base.run("date -u +%F > /headlines").ttl("1d")


@target
def catalog(edition: int = 1) -> State:
    """Something that depends on more than its command says: another edition runs it again."""
    return base.run("ls /usr/bin > /catalog").key(extra=edition)


@target(default=True)
def news(edition: int = 1) -> State:
    """Both, and nothing else."""
    return scratch().copy(headlines().path("/headlines"), "/").copy(catalog(edition).path("/catalog"), "/")
