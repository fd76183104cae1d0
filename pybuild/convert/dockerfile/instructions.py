"""One vertex as instructions of a Dockerfile, and what stands in the way of it."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Sequence

import attrs

from pybuild.convert.dockerfile.around import Flags, NoEquivalent, repository_url
from pybuild.convert.dockerfile.stages import cache_owner, is_document
from pybuild.llb.files import UNSET_MODE, UNSET_TIME, CopyAction, FileAction, MkdirAction, MkfileAction, Owner, UserName
from pybuild.llb.meta import NetMode, SecurityMode
from pybuild.llb.mounts import NO_OUTPUT, BindMount, CacheMount, Mount, SecretMount, Sharing, SshMount, TmpfsMount
from pybuild.llb.ops import ExecOp, FileOp, MergeOp, SourceOp
from pybuild.llb.vertex import Edge, Vertex

CONTEXT = "local://context"
_NETWORKS = {NetMode.HOST: "host", NetMode.NONE: "none"}


@attrs.define(kw_only=True, eq=False)
class Situation:
    """What later instructions of a stage find: variables, directory, user and shell."""

    env: dict[str, str] = attrs.field(factory=dict[str, str])
    directory: str | None = None
    user: str | None = None
    shell: tuple[str, ...] | None = None

    def copy(self) -> Situation:
        """The same for a stage that is based on this one."""
        return attrs.evolve(self, env=dict(self.env))


@attrs.frozen
class Translator:
    """Makes instructions of vertices.

    Attributes:
        from_: what `--from` calls an edge that is a stage or an image.
        flags: those of the build, which are noted here.
        for_image: the variables that the image gets; others are only for steps.
        shell: the one that the definition sets.
    """

    from_: Callable[[Edge], str]
    flags: Flags
    for_image: frozenset[str]
    shell: tuple[str, ...] | None

    def instructions(self, vertex: Vertex, now: Situation, directory_after: str | None) -> list[str]:
        """The instructions that a vertex becomes.

        Raises:
            NoEquivalent: there are none.
        """
        op = vertex.op
        if isinstance(op, ExecOp):
            return self._run(vertex, op, now)
        if isinstance(op, FileOp):
            return self._file(vertex, op, now, directory_after)
        if isinstance(op, MergeOp):
            return [_linked(self._layer(vertex, op))]
        raise NoEquivalent("diff() and what is made elsewhere have no instruction")

    # ------------------------------------------------------------------------------------------------------------ run

    def _run(self, vertex: Vertex, op: ExecOp, now: Situation) -> list[str]:
        lines = self._prepared(op, now)
        if op.meta.valid_exit_codes:
            raise NoEquivalent("run(valid_exit_codes=...)")
        if vertex.metadata.ignore_cache:
            raise NoEquivalent("run(use_cache=False); build with --no-cache-filter instead")
        self.flags.step(op.meta)
        flags = [f"--mount={flag}" for mount in op.mounts if (flag := self._mount(vertex, mount))]
        flags += [
            f"--mount=type=secret,id={secret.secret_id},env={secret.name}" + ("" if secret.optional else ",required")
            for secret in op.secret_env
        ]
        flags += [f"--network={_NETWORKS[op.network]}"] if op.network in _NETWORKS else []
        flags += ["--security=insecure"] if op.security == SecurityMode.INSECURE else []
        flags += [f"--device={device.name}{'' if device.optional else ',required'}" for device in op.cdi_devices]
        return [*lines, " ".join(["RUN", *flags, self._command(vertex, op, now)])]

    def _prepared(self, op: ExecOp, now: Situation) -> list[str]:
        """What sets the variables, the directory and the user of a step."""
        lines: list[str] = []
        wanted = dict(item.split("=", 1) for item in op.meta.env)
        if any(isinstance(mount, SshMount) and mount.target == wanted.get("SSH_AUTH_SOCK") for mount in op.mounts):
            del wanted["SSH_AUTH_SOCK"]  # the mount sets it
        gone = [name for name in now.env if name not in wanted]
        if gone:
            raise NoEquivalent(f"run(env=...): the variable {gone[0]} is for one step only")
        lines += self.variables(wanted, now)
        if self._by_own_shell(op) and now.shell is None:
            now.shell = self.shell
            lines.append(f"SHELL {json.dumps(list(self.shell or ()))}")
        if op.meta.cwd and op.meta.cwd != (now.directory or ""):
            lines.append(f"WORKDIR {_word(op.meta.cwd)}")
            now.directory = op.meta.cwd
        if op.meta.user and op.meta.user != now.user:
            lines.append(f"USER {_word(op.meta.user)}")
            now.user = op.meta.user
        return lines

    def variables(self, wanted: dict[str, str], now: Situation) -> list[str]:
        """ENV and ARG instructions for what is not set yet."""
        lines = [
            f"{'ENV' if name in self.for_image else 'ARG'} {name}={_value(value)}"
            for name, value in wanted.items()
            if now.env.get(name) != value
        ]
        now.env.update(wanted)
        return lines

    def _by_own_shell(self, op: ExecOp) -> bool:
        """Whether a step is a text for the shell that the definition sets."""
        own, args = self.shell, op.meta.args
        return bool(own) and args[:-1] == own

    def _command(self, vertex: Vertex, op: ExecOp, now: Situation) -> str:
        args = op.meta.args
        inherit = op.meta.inherit
        if self._by_own_shell(op):
            text = args[-1]
        elif inherit is not None and inherit.shell:
            if now.shell is not None:
                raise NoEquivalent("the image's shell after one of its own")
            text = args[0]
        else:
            return json.dumps(list(args), ensure_ascii=False)
        script = next((mount for mount in op.mounts if mount.target == "/dev/pipes/"), None)
        if script is not None:
            data = _text(_document(vertex.inputs[script.input].vertex).data)
            return _heredoc(text.removeprefix("/dev/pipes/"), data)
        if "\n" in text:
            return text if _survives(text) else _heredoc("EOF", text.removesuffix("\n") + "\n")
        if text.startswith(("[", "--")) or text.endswith("\\") or "<<" in text:
            return json.dumps(["/bin/sh", "-c", text], ensure_ascii=False)
        return text

    def _mount(self, vertex: Vertex, mount: Mount) -> str:
        if mount.target in ("/", "/dev/pipes/"):
            return ""
        words = self._mount_words(vertex, mount)
        if any(character.isspace() or character in '",$\\' for word in words for character in word):
            raise NoEquivalent(f"a mount with such a path or id: {', '.join(words)}")
        return ",".join(words)

    def _mount_words(self, vertex: Vertex, mount: Mount) -> list[str]:
        words = [f"target={mount.target}"]
        source = vertex.inputs[mount.input] if mount.input >= 0 else None
        owner = None if source is None else cache_owner(source.vertex)
        if owner is not None:
            words += [f"uid={owner.owner.user}", f"gid={owner.owner.group}"] if owner.owner else []
            words.append(f"mode={owner.mode:04o}")
        elif source is not None:
            words += self._origin(source)
        words += [f"source={mount.selector}"] if mount.selector and owner is None else []
        words += ["readonly"] if mount.readonly and isinstance(mount, CacheMount | TmpfsMount) else []
        match mount:
            case BindMount():
                if mount.output != NO_OUTPUT:
                    raise NoEquivalent("bind(readonly=False), whose changes are kept: .output()")
                return ["type=bind", *words, *([] if mount.readonly else ["rw"])]
            case CacheMount():
                sharing = [] if mount.sharing == Sharing.SHARED else [f"sharing={mount.sharing.name.lower()}"]
                namespace, _, cache = mount.cache_id.partition("/")
                self.flags.cache_namespace(namespace)
                return ["type=cache", f"id={cache}", *words, *sharing]
            case TmpfsMount():
                return ["type=tmpfs", *words, *([f"size={mount.size}"] if mount.size else [])]
            case SecretMount():
                return ["type=secret", f"id={mount.secret_id}", *words, *_owned(mount, 0o400)]
            case SshMount():
                name = [f"id={mount.agent_id}"] if mount.agent_id else []
                return ["type=ssh", *name, *words, *_owned(mount, 0o600)]
            case _:
                raise NoEquivalent(f"a {type(mount).__name__}")

    def _origin(self, edge: Edge) -> list[str]:
        op = edge.vertex.op
        if isinstance(op, SourceOp) and op.identifier == CONTEXT:
            return []
        if isinstance(op, FileOp) and is_document(edge.vertex):
            raise NoEquivalent("a mount of a document")
        return [f"from={self.from_(edge)}"]

    # ---------------------------------------------------------------------------------------------------------- files

    def _file(self, vertex: Vertex, op: FileOp, now: Situation, directory_after: str | None) -> list[str]:
        first = op.actions[0]
        if isinstance(first, MkdirAction):
            alone = len(op.actions) == 1
            return self._workdir(first, now, directory_after, alone=alone, told="] WORKDIR " in vertex.metadata.name)
        if isinstance(first, MkfileAction) and len(op.actions) == 1:
            mode = [] if first.mode == 0o644 else [f"--chmod={first.mode:04o}"]
            owner = [f"--chown={_owner(first.owner)}"] if first.owner else []
            return [" ".join(["COPY", *mode, *owner, _heredoc("EOF", _text(first.data), f" {_word(first.path)}")])]
        copies = [action for action in op.actions if isinstance(action, CopyAction)]
        if len(copies) < len(op.actions):
            raise NoEquivalent("symlink() and remove(); a Dockerfile has RUN ln and RUN rm")
        return [self._copy(vertex, copies)]

    def _workdir(
        self, action: MkdirAction, now: Situation, directory_after: str | None, *, alone: bool, told: bool
    ) -> list[str]:
        """WORKDIR for a directory that belongs to the user, and is where what follows goes on; `told`: it was one."""
        own = action.inherit_owner or action.owner is not None or told
        stays = directory_after is None or posixpath.normpath(directory_after) == action.path
        if not alone or not own or not stays or action.mode != 0o755 or not action.make_parents:
            raise NoEquivalent("mkdir(); a Dockerfile makes directories with WORKDIR, RUN and COPY")
        lines: list[str] = []
        if action.owner is not None:
            user = _owner(action.owner)
            if user not in (now.user, {"root": "0"}.get(now.user or "", "")):
                lines.append(f"USER {_word(user)}")
                now.user = user
        elif now.user is not None:
            raise NoEquivalent("a directory for the user of the image after another user was set")
        now.directory = directory_after or action.path
        return [*lines, f"WORKDIR {_word(now.directory)}"]

    def _layer(self, vertex: Vertex, op: MergeOp) -> str:
        layer = vertex.inputs[op.inputs[-1]].vertex
        actions: tuple[FileAction, ...] = layer.op.actions if isinstance(layer.op, FileOp) else ()
        copies = [action for action in actions if isinstance(action, CopyAction)]
        if len(op.inputs) != 2 or not copies or len(copies) < len(actions) or copies[0].input >= 0:
            raise NoEquivalent("merge()")
        return self._copy(layer, copies)

    def _copy(self, vertex: Vertex, copies: Sequence[CopyAction]) -> str:
        first = copies[0]
        shared = ("dest", "owner", "mode", "mode_str", "exclude_patterns")
        if any(getattr(each, name) != getattr(first, name) for each in copies for name in shared):
            raise NoEquivalent("copies with different options in one step")
        if first.include_patterns and not first.required_paths:
            raise NoEquivalent("copy(include=...)")
        if first.timestamp != UNSET_TIME:
            raise NoEquivalent("a copy with a time of its own")
        if any(each.secondary_input < 0 for each in copies):
            raise NoEquivalent("a copy from an empty state")
        edges = [vertex.inputs[each.secondary_input] for each in copies]
        if any(each.vertex is not edges[0].vertex for each in edges):
            raise NoEquivalent("copies from several states in one step")
        if is_document(edges[0].vertex):
            data = _text(_document(edges[0].vertex).data)
            body = _heredoc(first.source.lstrip("/"), data, f" {_word(first.dest)}")
            return " ".join(["COPY", *_copy_flags(first), body])
        return self._plain_copy(copies, edges)

    def _plain_copy(self, copies: Sequence[CopyAction], edges: Sequence[Edge]) -> str:
        first, edge = copies[0], edges[0]
        op = edge.vertex.op
        word, flags = "COPY", _copy_flags(first)
        if isinstance(op, SourceOp) and op.scheme in ("http", "https", "git"):
            options = dict(op.attrs)
            if "git.mtime" in options:
                raise NoEquivalent("git(mtime=...) in copy()")
            address = repository_url(op.identifier, options) if op.scheme == "git" else op.identifier
            checksum = options.get("http.checksum") or options.get("git.checksum")
            flags += [f"--checksum={checksum}"] if checksum else []
            flags += ["--keep-git-dir"] if options.get("git.keepgitdir") else []
            flags += ["--unpack"] if first.attempt_unpack else []
            return " ".join(["ADD", *flags, _word(address), _word(first.dest)])
        if not first.follow_symlink or not first.allow_wildcard:
            raise NoEquivalent("copy(follow_links=False)")
        if isinstance(op, SourceOp) and op.identifier == CONTEXT:
            word = "ADD" if first.attempt_unpack else "COPY"
        elif first.attempt_unpack:
            raise NoEquivalent("copy(unpack=True) from another state")
        else:
            flags.append(f"--from={self.from_(edge)}")
        sources = [_source(each) for each in copies]
        if first.required_paths:
            flags.append("--parents")
        return " ".join([word, *flags, _paths([*sources, first.dest])])


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise NoEquivalent("a file that is no text; copy it from the context") from None


def _paths(paths: Sequence[str]) -> str:
    """The paths of COPY and ADD, as JSON where one has white space."""
    if not any(character.isspace() for path in paths for character in path):
        return " ".join(map(_word, paths))
    return json.dumps([path.replace("\\", "\\\\").replace("$", "\\$") for path in paths], ensure_ascii=False)


def _survives(text: str) -> bool:
    """Whether a command of several lines, which has heredocs, is read as it was."""
    from pybuild.errors import PybuildError
    from pybuild.frontend.dockerfile.dockerfile import parse
    from pybuild.frontend.dockerfile.instructions import Run

    try:
        commands = parse(f"FROM scratch\nRUN {text}\n".encode()).stages[0].commands
    except PybuildError:
        return False
    if len(commands) != 1 or not isinstance(commands[0], Run):
        return False
    line = commands[0].command
    whole = (line.args or ("",))[0] + "".join(f"\n{file.data}{file.name}" for file in line.files)
    return whole == text and len(line.args or ()) == 1 and bool(line.files)


def _source(action: CopyAction) -> str:
    if action.include_patterns:
        return f"{action.source.rstrip('/')}/./{action.include_patterns[0]}"
    return action.source


def _copy_flags(action: CopyAction) -> list[str]:
    flags = [f"--chown={_owner(action.owner)}"] if action.owner else []
    mode = action.mode_str or ("" if action.mode == UNSET_MODE else f"{action.mode:04o}")
    flags += [f"--chmod={mode}"] if mode else []
    return flags + [f"--exclude={pattern}" for pattern in action.exclude_patterns]


def _linked(copy: str) -> str:
    word, _, rest = copy.partition(" ")
    return f"{word} --link {rest}"


def _owned(mount: SecretMount | SshMount, mode: int) -> list[str]:
    words = [] if mount.optional else ["required"]
    words += [f"uid={mount.uid}"] if mount.uid else []
    words += [f"gid={mount.gid}"] if mount.gid else []
    return words + ([f"mode={mount.mode:04o}"] if mount.mode != mode else [])


def _owner(owner: Owner) -> str:
    halves = [half for half in (owner.user, owner.group) if half is not None]
    return ":".join(half.name if isinstance(half, UserName) else str(half) for half in halves)


def _document(vertex: Vertex) -> MkfileAction:
    op = vertex.op
    assert isinstance(op, FileOp)
    action = op.actions[0]
    assert isinstance(action, MkfileAction)
    return action


def _heredoc(name: str, text: str, after: str = "") -> str:
    if not text.endswith("\n"):
        raise NoEquivalent("a text without a line feed at its end")
    if name in text.split("\n") or not re.fullmatch(r"[\w.-]+", name):
        name = "END_OF_TEXT"
    return f"<<'{name}'{after}\n{text}{name}"


def _word(text: str) -> str:
    """A word that is not expanded and has no white space."""
    if "\n" in text:
        raise NoEquivalent("a line feed in a path or name")
    if any(character.isspace() for character in text):
        return _value(text)
    return text.replace("\\", "\\\\").replace("$", "\\$")


def _value(text: str) -> str:
    """The value of an ENV, ARG or LABEL."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    if "\n" in text:
        raise NoEquivalent("a value of several lines")
    plain = escaped == text and text and not any(character.isspace() or character == "'" for character in text)
    return text if plain else f'"{escaped}"'


value_text = _value
word_text = _word
