"""`Mount`: one mount of a step as a plain value; `mounts` has the functions that make them."""

from __future__ import annotations

import attrs

from pybuild.dsl.paths import join
from pybuild.errors import ArgumentError
from pybuild.llb import mounts
from pybuild.llb.meta import SecretEnv
from pybuild.llb.vertex import Edge
from pybuild.location import Location
from pybuild.shown import Shown

SSH_TARGET = "/run/buildkit/ssh_agent."
"""Default target of an ssh mount; its position among the step's ssh mounts is added to it."""


@attrs.frozen(kw_only=True, repr=False)
class Mount(Shown):
    """One mount of a step, made by `bind`, `cache`, `secret`, `ssh` or `tmpfs`.

    Example:
        >>> from pybuild import tmpfs
        >>> tmpfs("/tmp", size="64m")
        <Mount TmpfsMount /tmp>
    """

    spec: mounts.Mount | None
    """The mount as the graph has it; None for a secret that is only an environment variable."""
    edge: Edge | None = None
    secret_env: SecretEnv | None = None
    location: Location = attrs.field(eq=False)

    @property
    def target(self) -> str | None:
        """Where it appears in the step, as written; None for an environment variable."""
        return None if self.spec is None else self.spec.target

    def placed(self, workdir: str | None) -> mounts.Mount | None:
        """The mount with its target made absolute.

        Raises:
            ArgumentError: the target is relative and no absolute working directory is set.
        """
        spec = self.spec
        if spec is None or spec.target.startswith("/"):
            return spec
        target = join(workdir, spec.target)
        if not target.startswith("/"):
            raise ArgumentError(
                f'the mount target "{spec.target}" is relative, and the step has no absolute working directory',
                hint="write an absolute target, or set .workdir(...) before the run",
            )
        return spec.replace(target=target)

    def __repr__(self) -> str:
        if self.spec is None:
            return f"<Mount SecretEnv {self.secret_env.name if self.secret_env else ''}>"
        return f"<Mount {type(self.spec).__name__} {self.spec.target}>"
