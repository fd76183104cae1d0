"""The instructions of a Dockerfile as values.

Everything is as written: variables are not expanded (`expand.expanded` makes the same value with words expanded),
and what only lowering can decide, such as which stage `COPY --from` means, is text. Durations are in nanoseconds,
sizes in bytes. One class per instruction, named after it; `Stage` stands for FROM.
"""

from __future__ import annotations

from typing import Literal

import attrs

from pybuild.frontend.dockerfile.lines import Lines
from pybuild.values import Value

MountType = Literal["bind", "cache", "tmpfs", "secret", "ssh"]
Sharing = Literal["shared", "private", "locked"]
Network = Literal["default", "none", "host"]
Security = Literal["sandbox", "insecure"]
MOUNT_TYPES: tuple[MountType, ...] = ("bind", "cache", "tmpfs", "secret", "ssh")
SHARINGS: tuple[Sharing, ...] = ("shared", "private", "locked")


@attrs.frozen(kw_only=True)
class Instruction(Value):
    """What all instructions have.

    Attributes:
        keyword: as written, in any case.
        code: the instruction as one line: continued lines joined, comments and heredoc bodies left out.
        lines: all its lines, heredoc bodies included.
        comments: the comment lines above it, without `#`.
    """

    keyword: str
    code: str
    lines: Lines
    comments: tuple[str, ...] = ()


@attrs.frozen
class KeyValue(Value):
    """One pair of ENV or LABEL; `legacy` when it was written `KEY value`, without `=`."""

    key: str
    value: str
    legacy: bool = False


@attrs.frozen
class ArgDefinition(Value):
    """One name of an ARG; `value` is None when it has no default. `description` comes from a comment above."""

    name: str
    value: str | None = None
    description: str = ""


@attrs.frozen
class InlineFile(Value):
    """The heredoc of a RUN, CMD or ENTRYPOINT; `chomp` (`<<-`) means that leading tabs are to be cut off."""

    name: str
    data: str
    chomp: bool = False


@attrs.frozen
class InlineSource(Value):
    """The heredoc of a COPY or ADD: a file `path` with content `data`, chomped already.

    `expand` tells whether variables in `data` are to be replaced (the delimiter was not quoted).
    """

    path: str
    data: str
    expand: bool


@attrs.frozen
class CommandLine(Value):
    """What RUN, CMD, ENTRYPOINT run.

    Attributes:
        args: the words of the exec form; the whole text as the only one in shell form. None for an ENTRYPOINT
            without any, which resets it.
        files: heredocs.
        shell_form: whether a shell is to be put in front.
    """

    args: tuple[str, ...] | None
    files: tuple[InlineFile, ...] = ()
    shell_form: bool = True


@attrs.frozen
class RunMount(Value):
    """One `RUN --mount`. Before expansion only `source_stage` is known; see `mounts.parse_mount`.

    Attributes:
        source_stage: `from=`: a stage, named context or image.
        cache_id: `id=`, which secrets and ssh have as well.
        env: `env=` of a secret.
        size: in bytes, of a tmpfs; 0 is unlimited.
    """

    type: MountType = "bind"
    source_stage: str = ""
    source: str = ""
    target: str = ""
    readonly: bool = True
    size: int = 0
    cache_id: str = ""
    sharing: Sharing | None = None
    required: bool = False
    env: str | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


@attrs.frozen
class Device(Value):
    """One `RUN --device`."""

    name: str
    required: bool = False


@attrs.frozen
class HealthTest(Value):
    """A health check as the image config has it: `test` starts with NONE, CMD or CMD-SHELL; times in nanoseconds."""

    test: tuple[str, ...]
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@attrs.frozen(kw_only=True)
class Transfer(Instruction):
    """What ADD and COPY share.

    Attributes:
        sources: paths and URLs, in order, without the heredocs.
        inline: heredocs, in order.
        destination: the last word.
        excludes: patterns of `--exclude`.
    """

    sources: tuple[str, ...]
    inline: tuple[InlineSource, ...]
    destination: str
    chown: str = ""
    chmod: str = ""
    link: bool = False
    excludes: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Add(Transfer):
    """ADD: `keep_git_dir` and `unpack` are None when the flag is not given."""

    keep_git_dir: bool | None = None
    checksum: str = ""
    unpack: bool | None = None


@attrs.frozen(kw_only=True)
class Copy(Transfer):
    """COPY."""

    source_stage: str = ""
    parents: bool = False


@attrs.frozen(kw_only=True)
class Arg(Instruction):
    """ARG, in a stage or before the first one."""

    definitions: tuple[ArgDefinition, ...]


@attrs.frozen(kw_only=True)
class Cmd(Instruction):
    """CMD."""

    command: CommandLine


@attrs.frozen(kw_only=True)
class Entrypoint(Instruction):
    """ENTRYPOINT."""

    command: CommandLine


@attrs.frozen(kw_only=True)
class Env(Instruction):
    """ENV."""

    pairs: tuple[KeyValue, ...]


@attrs.frozen(kw_only=True)
class Expose(Instruction):
    """EXPOSE; `ports` are sorted as text, and each may expand to several words."""

    ports: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Healthcheck(Instruction):
    """HEALTHCHECK."""

    health: HealthTest


@attrs.frozen(kw_only=True)
class Label(Instruction):
    """LABEL."""

    pairs: tuple[KeyValue, ...]


@attrs.frozen(kw_only=True)
class Maintainer(Instruction):
    """MAINTAINER."""

    maintainer: str


@attrs.frozen(kw_only=True)
class Onbuild(Instruction):
    """ONBUILD; `expression` is the trigger as the image config has it, heredocs included."""

    expression: str


@attrs.frozen(kw_only=True)
class Run(Instruction):
    """RUN.

    Attributes:
        mount_flags: the values of `--mount` as written.
        mounts: what is known of them so far.
        flags_used: names of all flags that were given, sorted.
    """

    command: CommandLine
    mount_flags: tuple[str, ...] = ()
    mounts: tuple[RunMount, ...] = ()
    devices: tuple[Device, ...] = ()
    network: Network = "default"
    security: Security = "sandbox"
    flags_used: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Shell(Instruction):
    """SHELL."""

    shell: tuple[str, ...]


@attrs.frozen(kw_only=True)
class StopSignal(Instruction):
    """STOPSIGNAL."""

    signal: str


@attrs.frozen(kw_only=True)
class User(Instruction):
    """USER."""

    user: str


@attrs.frozen(kw_only=True)
class Volume(Instruction):
    """VOLUME."""

    volumes: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Workdir(Instruction):
    """WORKDIR."""

    path: str


@attrs.frozen(kw_only=True)
class Import(Instruction):
    """IMPORT of what is no stage of the file: an image, whose exports are known when it is looked up.

    Attributes:
        name: the image or named context; while a file is parsed also a stage.
        env_prefix: what exported variables get in front of their names.
    """

    name: str
    env_prefix: str = ""


Command = (
    Add
    | Arg
    | Cmd
    | Copy
    | Entrypoint
    | Env
    | Expose
    | Healthcheck
    | Import
    | Label
    | Maintainer
    | Onbuild
    | Run
    | Shell
    | StopSignal
    | User
    | Volume
    | Workdir
)


@attrs.frozen(kw_only=True)
class Export(Instruction):
    """EXPORT: an instruction for the stages that import this one.

    Attributes:
        command: the instruction; its lines are those of the EXPORT.
        expression: the instruction as text, heredocs included.
        apply: whether the exporting stage runs it as well.
    """

    command: Command
    expression: str
    apply: bool = False


@attrs.frozen(kw_only=True)
class From(Instruction):
    """FROM.

    Attributes:
        base: image or stage, not expanded.
        name: of `AS NAME`, in lower case; "" without one.
        platform: of `--platform`, not expanded.
        description: of a comment above that starts with the name.
    """

    base: str
    name: str = ""
    platform: str = ""
    description: str = ""


@attrs.frozen(kw_only=True)
class Stage(From):
    """A FROM with the commands after it; `exports` is what stages that import it get."""

    commands: tuple[Command, ...] = ()
    exports: tuple[Export, ...] = ()


@attrs.frozen(kw_only=True)
class Dockerfile(Value):
    """A parsed Dockerfile.

    Attributes:
        file: what to call it in locations.
        data: its bytes.
        escape: backslash or backtick.
        global_args: the ARGs before the first FROM.
        stages: in order; at least one.
    """

    file: str
    data: bytes
    escape: str
    global_args: tuple[Arg, ...]
    stages: tuple[Stage, ...]
