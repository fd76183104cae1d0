"""The mounts of a RUN. Mirrors dockerfile2llb/convert_{runmount,secrets,ssh}.go."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

import attrs

from pybuild.errors import FrontendError
from pybuild.frontend.dockerfile.gotext import quote
from pybuild.frontend.dockerfile.instructions import Run, RunMount
from pybuild.frontend.dockerfile.lower.metadata import metadata
from pybuild.frontend.dockerfile.lower.outline import NeedFact
from pybuild.frontend.dockerfile.lower.outputs import Output, edge_of
from pybuild.frontend.dockerfile.lower.paths import go_clean, go_join
from pybuild.frontend.dockerfile.lower.scope import Scope
from pybuild.frontend.dockerfile.lower.stage import StageState
from pybuild.llb import construct
from pybuild.llb.files import MkdirAction, Owner
from pybuild.llb.meta import SecretEnv
from pybuild.llb.mounts import NO_OUTPUT, BindMount, CacheMount, Mount, SecretMount, Sharing, SshMount, TmpfsMount
from pybuild.llb.vertex import Edge

_NO_OUTPUT_CAP = "exec.mount.bind.readwrite-nooutput"
_SHARING = {None: Sharing.SHARED, "shared": Sharing.SHARED, "private": Sharing.PRIVATE, "locked": Sharing.LOCKED}
_SECRET_MODE, _SSH_MODE = 0o400, 0o600


@attrs.define
class MountSet:
    """What a step mounts: trees with what they show, secrets in the environment, the socket of its first ssh agent."""

    mounts: list[tuple[Mount, Output | None]] = attrs.field(factory=list["tuple[Mount, Output | None]"])
    secret_env: list[SecretEnv] = attrs.field(factory=list[SecretEnv])
    ssh_socket: str = ""


def mounts_of(scope: Scope, stage: StageState, command: Run, sources: Sequence[StageState]) -> MountSet:
    """The mounts of a RUN.

    Args:
        scope: the lowering.
        stage: the stage.
        command: the instruction, its mounts expanded.
        sources: the stages of its mounts, one each.

    Raises:
        FrontendError: a mount is wrong.
    """
    found = MountSet()
    agents = 0
    for mount, source in zip(command.mounts, sources, strict=True):
        if mount.type == "secret":
            _check_defined(mount, source)
            _add_secret(found, stage, command, mount)
        elif mount.type == "ssh":
            _check_defined(mount, source)
            _add_ssh(found, stage, command, mount, agents)
            agents += 1
        else:
            found.mounts.append(_tree(scope, stage, mount, source))
    return found


def _check_defined(mount: RunMount, source: StageState) -> None:
    if mount.source_stage and not source.dispatched:
        raise FrontendError(
            f"cannot mount from stage {quote(mount.source_stage)} to {quote(mount.target)}, stage needs to be defined "
            "before current command"
        )


def _tree(scope: Scope, stage: StageState, mount: RunMount, source: StageState) -> tuple[Mount, Output | None]:
    if mount.type == "cache" and not mount.source_stage:
        mount = attrs.evolve(mount, source_stage="scratch")
    _check_defined(mount, source)
    shown: Output | None = source.state.output if mount.source_stage else scope.main_context
    if mount.type == "tmpfs":
        shown = None
    target = _target(stage, mount)
    selector = go_join("/", mount.source)
    if selector == "/":
        selector = ""
        if mount.uid is not None or mount.gid is not None or mount.mode is not None:
            shown, selector = _owned(mount, shown), "/cache"
    used = stage.context_paths if not mount.source_stage else source.paths
    used.add(go_join("/", mount.source))
    return _mount(scope, mount, target, selector), shown


def _target(stage: StageState, mount: RunMount) -> str:
    target = mount.target
    if not go_clean(target).startswith("/"):
        target = go_join("/", stage.state.dir, target)
    if target == "/":
        raise FrontendError(f"invalid mount target {quote(target)}")
    return target


def _mount(scope: Scope, mount: RunMount, target: str, selector: str) -> Mount:
    match mount.type:
        case "cache":
            cache_id = mount.cache_id or go_clean(mount.target)
            return CacheMount(
                target=target,
                cache_id=f"{scope.options.cache_namespace}/{cache_id}",
                sharing=_SHARING[mount.sharing],
                selector=selector,
                readonly=mount.readonly,
            )
        case "tmpfs":
            return TmpfsMount(target=target, size=mount.size, readonly=mount.readonly, selector=selector)
        case _:
            discarded = mount.readonly or _NO_OUTPUT_CAP in scope.caps
            output = NO_OUTPUT if discarded else 0
            return BindMount(target=target, selector=selector, readonly=mount.readonly, output=output)


def _owned(mount: RunMount, base: Output | None) -> Output:
    """A directory that a new cache starts from, for its owner and mode."""
    mode = 0o755 if mount.mode is None else mount.mode & 0o777
    action = MkdirAction(path="/cache", mode=mode, owner=Owner(user=mount.uid or 0, group=mount.gid or 0))
    facts = metadata("[internal] setting cache mount permissions")
    return Output(lambda: Edge(construct.file(edge_of(base), [(action, None)], metadata=facts)), [base])


def _add_secret(found: MountSet, stage: StageState, command: Run, mount: RunMount) -> None:
    secret_id = mount.source or mount.cache_id
    if not secret_id:
        if not mount.target:
            raise FrontendError("one of source, target required")
        secret_id = posixpath.basename(mount.target.rstrip("/")) or "/"
    stage.outline.secrets.setdefault(secret_id, NeedFact(mount.required, command.lines))
    if mount.env is not None:
        found.secret_env.append(SecretEnv(secret_id=secret_id, name=mount.env, optional=not mount.required))
    target = mount.target
    if not target and mount.env is None:
        target = f"/run/secrets/{posixpath.basename(secret_id.rstrip('/')) or '/'}"
    if target:
        secret = SecretMount(
            target=target,
            secret_id=secret_id,
            uid=mount.uid or 0,
            gid=mount.gid or 0,
            mode=_SECRET_MODE if mount.mode is None else mount.mode,
            optional=not mount.required,
        )
        found.mounts.append((secret, None))


def _add_ssh(found: MountSet, stage: StageState, command: Run, mount: RunMount, number: int) -> None:
    if mount.source:
        raise FrontendError("ssh does not support source")
    need = NeedFact(mount.required, command.lines)
    stage.outline.ssh.setdefault(mount.cache_id or "default", need)
    target = mount.target or f"/run/buildkit/ssh_agent.{number}"
    if number == 0:
        found.ssh_socket = target
    agent = SshMount(
        target=target,
        agent_id=mount.cache_id,
        uid=mount.uid or 0,
        gid=mount.gid or 0,
        mode=_SSH_MODE if mount.mode is None else mount.mode,
        optional=not mount.required,
    )
    found.mounts.append((agent, None))
