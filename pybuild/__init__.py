"""BuildKit's idea in Python: chained calls build an immutable graph lazily, an engine solves it.

Everything here is imported when it is first used, so `import pybuild` costs next to nothing.

Example:
    >>> from pybuild import cache, image
    >>> app = image("golang:1.24").workdir("/src").copy(".").run("go build").mount(cache("/root/.cache"))
    >>> len(app.graph())
    4
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers know the name; importing it from typing takes longer than all of this module
if TYPE_CHECKING:
    from pybuild._api import abuild, build, connect, embedded
    from pybuild._dockerfile import dockerfile
    from pybuild.dsl.buildfile import load_buildfile
    from pybuild.dsl.buildoptions import BuildOptions, source_date_epoch
    from pybuild.dsl.documents import Document, document
    from pybuild.dsl.mount import Mount
    from pybuild.dsl.mounts import bind, cache, secret, ssh, tmpfs
    from pybuild.dsl.mounttext import mount
    from pybuild.dsl.outputs import Output, to_dir, to_docker, to_image, to_none, to_oci, to_registry, to_tar
    from pybuild.dsl.paths import PathRef
    from pybuild.dsl.platforms import build_platform, target_platform
    from pybuild.dsl.remotes import git, http
    from pybuild.dsl.sources import diff, image, local, merge, oci_layout, scratch
    from pybuild.dsl.state import ExecState, State
    from pybuild.dsl.target import Target, target
    from pybuild.dsl.words import expand
    from pybuild.errors import PybuildError
    from pybuild.platform import Platform
    from pybuild.results.result import BuildResult

__version__ = "0.1.0"

_HOME = {
    "pybuild._api": ("abuild", "build", "connect", "embedded"),
    "pybuild._dockerfile": ("dockerfile",),
    "pybuild.dsl.buildoptions": ("BuildOptions", "source_date_epoch"),
    "pybuild.dsl.buildfile": ("load_buildfile",),
    "pybuild.dsl.documents": ("Document", "document"),
    "pybuild.dsl.mount": ("Mount",),
    "pybuild.dsl.mounts": ("bind", "cache", "secret", "ssh", "tmpfs"),
    "pybuild.dsl.mounttext": ("mount",),
    "pybuild.dsl.outputs": (
        "Output", "to_dir", "to_docker", "to_image", "to_none", "to_oci", "to_registry", "to_tar",
    ),
    "pybuild.dsl.paths": ("PathRef",),
    "pybuild.dsl.platforms": ("build_platform", "target_platform"),
    "pybuild.dsl.remotes": ("git", "http"),
    "pybuild.dsl.sources": ("diff", "image", "local", "merge", "oci_layout", "scratch"),
    "pybuild.dsl.state": ("ExecState", "State"),
    "pybuild.dsl.target": ("Target", "target"),
    "pybuild.dsl.words": ("expand",),
    "pybuild.errors": ("PybuildError",),
    "pybuild.platform": ("Platform",),
    "pybuild.results.result": ("BuildResult",),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "BuildOptions",
    "BuildResult",
    "Document",
    "ExecState",
    "Mount",
    "Output",
    "PathRef",
    "Platform",
    "PybuildError",
    "State",
    "Target",
    "abuild",
    "bind",
    "build",
    "build_platform",
    "cache",
    "connect",
    "diff",
    "dockerfile",
    "document",
    "embedded",
    "expand",
    "git",
    "http",
    "image",
    "load_buildfile",
    "local",
    "merge",
    "mount",
    "oci_layout",
    "scratch",
    "secret",
    "source_date_epoch",
    "ssh",
    "target",
    "target_platform",
    "tmpfs",
    "to_dir",
    "to_docker",
    "to_image",
    "to_none",
    "to_oci",
    "to_registry",
    "to_tar",
]


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'pybuild' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
