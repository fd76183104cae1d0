"""RUN. Mirrors `dispatchRun` of dockerfile2llb; mounts are in `runmounts`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import attrs

from pybuild.errors import FrontendError
from pybuild.frontend.dockerfile.heredoc import announced, chomped
from pybuild.frontend.dockerfile.instructions import ArgDefinition, InlineFile, Run
from pybuild.frontend.dockerfile.lower.image import Image
from pybuild.frontend.dockerfile.lower.metadata import metadata
from pybuild.frontend.dockerfile.lower.names import shown, step_name
from pybuild.frontend.dockerfile.lower.outputs import Output, edge_of
from pybuild.frontend.dockerfile.lower.runmounts import MountSet, mounts_of
from pybuild.frontend.dockerfile.lower.scope import Scope
from pybuild.frontend.dockerfile.lower.stage import StageState
from pybuild.frontend.dockerfile.lower.transfer import document
from pybuild.llb import construct
from pybuild.llb.meta import CDIDevice, Constraints, ExecMeta, NetMode, SecurityMode
from pybuild.llb.mounts import BindMount, Mount, TmpfsMount
from pybuild.llb.vertex import Edge

_NETWORKS = {"none": NetMode.NONE, "host": NetMode.HOST}
_PIPES = "/dev/pipes/"
_SHM = "/dev/shm"  # noqa: S108  # where every Linux process expects it
_WINDOWS_SHELL = ("cmd", "/S", "/C")
_UNIX_SHELL = ("/bin/sh", "-c")


def lower_run(scope: Scope, stage: StageState, command: Run, sources: Sequence[StageState]) -> None:
    """Add the step of a RUN to its stage.

    Args:
        scope: the lowering.
        stage: the stage.
        command: the instruction, its mounts expanded.
        sources: the stages of its mounts, one each.

    Raises:
        FrontendError: a value is wrong.
    """
    stage.paths.add("/")  # a command may read any file of a named context that it is based on
    args, script, title = _arguments(command, windows=stage.image.os == "windows")
    if command.command.shell_form:
        args = with_shell(stage.image, args)
    found = mounts_of(scope, stage, command, sources)
    env = dict(stage.state.env)
    history = _history(args, stage.args, env)
    name = _name(scope, stage, command, title, env)
    if script is not None:
        found.mounts.insert(0, (BindMount(target=_PIPES, selector="/", readonly=True), script))
    if scope.shm_size:
        found.mounts.append((TmpfsMount(target=_SHM, size=scope.shm_size), None))
    stage.state.with_output(_exec(scope, stage, command, args, found, name))
    stage.image.commit(f"RUN {history} # buildkit", layer=True, created=scope.created)


def _exec(scope: Scope, stage: StageState, command: Run, args: Sequence[str], found: MountSet, name: str) -> Output:
    state, base = stage.state, stage.state.output
    env = dict(state.env)
    if found.ssh_socket and "SSH_AUTH_SOCK" not in env:
        env["SSH_AUTH_SOCK"] = found.ssh_socket
    meta = ExecMeta(
        args=tuple(args),
        env=tuple(f"{key}={value}" for key, value in env.items()),
        cwd=state.dir,
        user=state.user,
        proxy_env=scope.proxy,
        extra_hosts=scope.options.extra_hosts,
        hostname=state.hostname,
        ulimits=scope.ulimits,
        cgroup_parent=scope.cgroup_parent,
    )
    facts = metadata(name, command.code, ignore_cache=stage.no_cache)
    if scope.resources is not None:
        facts = facts.replace(resources=scope.resources)
    network = _NETWORKS.get(command.network, state.network)
    security = SecurityMode.INSECURE if command.security == "insecure" else SecurityMode.SANDBOX
    devices = _devices(scope, command)
    constraints = Constraints(platform=state.platform or scope.target_platform)
    locations = scope.locations(command.lines)

    def make() -> Edge:
        root: tuple[Mount, Edge | None] = (BindMount(target="/", output=0), edge_of(base))
        mounts = [root, *((mount, edge_of(source)) for mount, source in found.mounts)]
        return Edge(
            construct.exec_(
                meta,
                mounts,
                network=network,
                security=security,
                secret_env=found.secret_env,
                cdi_devices=devices,
                constraints=constraints,
                metadata=facts,
                locations=locations,
                unique_targets=False,
            )
        )

    return Output(make, [base, *(source for _, source in found.mounts)])


def _devices(scope: Scope, command: Run) -> tuple[CDIDevice, ...]:
    if "exec.meta.cdi" not in scope.caps:
        return ()
    if command.devices and not scope.labs:
        raise FrontendError("device feature is only supported in Dockerfile frontend 1.14.0-labs or later")
    return tuple(CDIDevice(name=device.name, optional=not device.required) for device in command.devices)


def _arguments(command: Run, *, windows: bool) -> tuple[list[str], Output | None, str]:
    """What runs, the script that a heredoc with `#!` becomes, and the text that progress shows."""
    line = command.command
    args = list(line.args or ())
    if not line.files:
        return args, None, command.code
    if len(args) != 1 or not line.shell_form:
        raise FrontendError(f"parsing produced an invalid run command: [{' '.join(args)}]")
    if announced(args[0]) is None:
        return [_reassembled(args[0], line.files)], None, command.code
    file = line.files[0]
    title = f"{command.code} ({_summary(file.data)})"
    data = chomped(file.data) if file.chomp else file.data
    if not windows and data.startswith("#!"):
        return [_PIPES + file.name], document(f"/{file.name}", data, 0o755), title
    return [data], None, title


def _reassembled(text: str, files: Iterable[InlineFile]) -> str:
    """The command with its heredocs as the shell reads them."""
    return text + "".join(f"\n{file.data}{file.name}" for file in files)


def _summary(document: str) -> str:
    lines = document.strip().replace("\r\n", "\n").split("\n")
    return lines[0] + ("..." if len(lines) > 1 else "")


def with_shell(image: Image, args: Sequence[str]) -> list[str]:
    """A command text run by the image's shell."""
    shell = image.shell or (_WINDOWS_SHELL if image.os == "windows" else _UNIX_SHELL)
    return [*shell, " ".join(args)]


def _name(scope: Scope, stage: StageState, command: Run, title: str, env: Mapping[str, str]) -> str:
    masked = {mount.env: "****" for mount in command.mounts if mount.type == "secret" and mount.env is not None}
    lexer = attrs.evolve(scope.lexer, raw_quotes=True, skip_unset=True)
    text = shown(lexer, title, {**env, **masked})
    return step_name(stage, text, with_platform=scope.options.multi_platform, platform=stage.state.platform, env=env)


def _history(args: Sequence[str], declared: Iterable[ArgDefinition], env: Mapping[str, str]) -> str:
    """The command after the values of the arguments it could see: `|1 VERSION=2 /bin/sh -c make`."""
    values = {arg.name: f"{arg.name}={env.get(arg.name, arg.value or '')}" for arg in declared}
    words = [f"|{len(values)}", *values.values()] if values else []
    return " ".join([*words, *args])
