"""Pure constructors of vertices, used by all frontends: they normalize, sort, number and deduplicate, and do no I/O.

Every option of BuildKit's client API (client/llb) has its parameter here. All take `constraints` (platform, worker
filter), `metadata` (name, cache hints, limits) and `locations` (where the user wrote it).

`sources`: image, image_blob, oci_layout, oci_layout_blob, git, http, local, source. `execs`: exec_. `files`: file, and
the actions copy, mkdir, mkfile, rm, symlink. `combine`: merge, diff, passthrough, build.
"""

from pybuild.llb.construct.combine import build, diff, merge, passthrough
from pybuild.llb.construct.execs import exec_
from pybuild.llb.construct.files import FileChain, copy, file, mkdir, mkfile, owner_of, rm, symlink
from pybuild.llb.construct.sources import (
    git,
    http,
    image,
    image_blob,
    local,
    oci_layout,
    oci_layout_blob,
    source,
)

__all__ = [
    "FileChain",
    "build",
    "copy",
    "diff",
    "exec_",
    "file",
    "git",
    "http",
    "image",
    "image_blob",
    "local",
    "merge",
    "mkdir",
    "mkfile",
    "oci_layout",
    "oci_layout_blob",
    "owner_of",
    "passthrough",
    "rm",
    "source",
    "symlink",
]
