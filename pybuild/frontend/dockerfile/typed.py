"""From nodes to the values of `instructions`, with the rules that look at one instruction alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypedDict, cast

from pybuild.errors import InstructionError
from pybuild.frontend.dockerfile import gotext, rules
from pybuild.frontend.dockerfile.arguments import KEYWORDS
from pybuild.frontend.dockerfile.durations import parse_duration
from pybuild.frontend.dockerfile.flags import Flags, Kind
from pybuild.frontend.dockerfile.heredoc import announced, chomped
from pybuild.frontend.dockerfile.instructions import (
    Add,
    Arg,
    ArgDefinition,
    Cmd,
    Command,
    CommandLine,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    HealthTest,
    InlineFile,
    InlineSource,
    KeyValue,
    Label,
    Maintainer,
    Network,
    Onbuild,
    Run,
    Security,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.frontend.dockerfile.lint import Linter
from pybuild.frontend.dockerfile.mounts import parse_device, source_only
from pybuild.frontend.dockerfile.nodes import Node
from pybuild.frontend.dockerfile.suggest import hint

_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*")
_ONBUILD = re.compile(r"[\t\n\f\r ]*ONBUILD[\t\n\f\r ]*", re.IGNORECASE)
_MILLISECOND = 1_000_000


class Common(TypedDict):
    """What all instructions have, by field."""

    keyword: str
    code: str
    lines: Lines
    comments: tuple[str, ...]


def parse_instruction(node: Node, linter: Linter, keywords: Sequence[str] = KEYWORDS) -> Command | From:
    """The instruction of a node.

    Args:
        node: of the parser.
        linter: where warnings go.
        keywords: of all instructions that there are, for suggestions.

    Raises:
        InstructionError: without a location.
    """
    linter = linter.with_comments(node.comments)
    keyword = gotext.lower(node.statement.keyword)
    if keyword == "from":
        return _from(node, linter)
    parser = _PARSERS.get(keyword)
    if parser is None:
        written = node.statement.keyword
        near = hint(written, (name.upper() for name in keywords), case_sensitive=False)
        raise InstructionError(f"unknown instruction: {written}{near}")
    if keyword == "maintainer":
        linter.warn(rules.MAINTAINER_DEPRECATED, node.lines)
    command = parser(node)
    if isinstance(command, Arg):
        _check_description("ARG", [definition.name for definition in command.definitions], node, linter)
    return command


def common(node: Node) -> Common:
    """The fields that all instructions have."""
    return {
        "keyword": node.statement.keyword,
        "code": gotext.trim_space(node.text),
        "lines": node.lines,
        "comments": node.comments,
    }


def _flags(node: Node, **known: Kind) -> Flags:
    return Flags(node.statement.flags, {name.replace("_", "-"): kind for name, kind in known.items()})


def _at_least_one(node: Node, name: str) -> tuple[str, ...]:
    words = node.statement.arguments.words
    if not words:
        raise InstructionError(f"{name} requires at least one argument")
    return words


def _exactly_one(node: Node, name: str) -> str:
    words = node.statement.arguments.words
    if len(words) != 1:
        raise InstructionError(f"{name} requires exactly one argument")
    return words[0]


def _from(node: Node, linter: Linter) -> From:
    words = node.statement.arguments.words
    keyword = node.statement.keyword
    if len(words) == 3 and words[2] != gotext.lower(words[2]):
        linter.warn(rules.STAGE_NAME_CASING, node.lines, name=words[2])
    if len(words) >= 3 and not _same_case(keyword, words[1]):
        linter.warn(rules.FROM_AS_CASING, node.lines, as_word=words[1], from_word=keyword)
    base, name = _base_and_name(words)
    platform = _flags(node, platform="string").string("platform")
    if name:
        _check_description("FROM", [name], node, linter)
    description = _description(node.comments, name)
    return From(**common(node), base=base, name=name, platform=platform, description=description)


def _same_case(keyword: str, as_word: str) -> bool:
    """Whether AS is written like FROM; a mixed FROM is another rule's business."""
    for case in (gotext.lower, gotext.upper):
        if keyword == case(keyword):
            return as_word == case(as_word)
    return True


def _base_and_name(words: tuple[str, ...]) -> tuple[str, str]:
    if len(words) == 3 and words[1].casefold() == "as":
        name = gotext.lower(words[2])
        if _STAGE_NAME.fullmatch(name) is None:
            raise InstructionError(
                f"invalid name for build stage: {gotext.quote(words[2])}, "
                "name can't start with a number or contain symbols"
            )
        return words[0], name
    if len(words) != 1:
        raise InstructionError("FROM requires either one or three arguments")
    return words[0], ""


def _description(comments: tuple[str, ...], name: str) -> str:
    """What stands behind `name` in the first comment that begins with it."""
    found = (comment.removeprefix(f"{name} ") for comment in comments if comment.startswith(f"{name} "))
    return next(found, "") if name else ""


def _check_description(instruction: str, names: list[str], node: Node, linter: Linter) -> None:
    if not node.comments or not names or node.comments[-1].partition(" ")[0] in names:
        return
    example = names[0] if len(names) == 1 else "<arg_key>"
    linter.warn(rules.INVALID_DEFINITION_DESCRIPTION, node.lines, instruction=instruction, name=example)


def _arg(node: Node) -> Arg:
    definitions: list[ArgDefinition] = []
    for word in _at_least_one(node, "ARG"):
        name, equals, value = word.partition("=")
        if equals and not name:
            raise InstructionError("ARG names can not be blank")
        definitions.append(ArgDefinition(name, value if equals else None, _description(node.comments, name)))
    return Arg(**common(node), definitions=tuple(definitions))


def _pairs(node: Node, name: str) -> tuple[KeyValue, ...]:
    _flags(node)
    words = _at_least_one(node, name)
    if not all(words[::3]):
        raise InstructionError(f"{name} names can not be blank")
    triples = zip(words[::3], words[1::3], words[2::3], strict=True)
    return tuple(KeyValue(key, value, legacy=not separator) for key, value, separator in triples)


def _env(node: Node) -> Env:
    return Env(**common(node), pairs=_pairs(node, "ENV"))


def _label(node: Node) -> Label:
    return Label(**common(node), pairs=_pairs(node, "LABEL"))


def _maintainer(node: Node) -> Maintainer:
    maintainer = _exactly_one(node, "MAINTAINER")
    _flags(node)
    return Maintainer(**common(node), maintainer=maintainer)


class _Transfer(Common):
    sources: tuple[str, ...]
    inline: tuple[InlineSource, ...]
    destination: str
    chown: str
    chmod: str
    link: bool
    excludes: tuple[str, ...]


def _transfer(node: Node, name: str, flags: Flags) -> _Transfer:
    *words, destination = node.statement.arguments.words
    if announced(destination) is not None:
        raise InstructionError(f"{name} cannot accept a heredoc as a destination")
    contents = {heredoc.name: heredoc.content for heredoc in node.heredocs}
    sources: list[str] = []
    inline: list[InlineSource] = []
    for word in words:
        heredoc = announced(word)
        if heredoc is None:
            sources.append(word)
            continue
        content = contents.get(heredoc.name, "")
        data = chomped(content) if heredoc.chomp else content
        inline.append(InlineSource(heredoc.name, data, heredoc.expand))
    return {
        **common(node),
        "sources": tuple(sources),
        "inline": tuple(inline),
        "destination": destination,
        "chown": flags.string("chown"),
        "chmod": flags.string("chmod"),
        "link": flags.boolean("link") or False,
        "excludes": flags.strings("exclude"),
    }


def _need_two(node: Node, name: str) -> None:
    if len(node.statement.arguments.words) < 2:
        raise InstructionError(
            f"{name} requires at least two arguments, but only one was provided. Destination could not be determined"
        )


def _add(node: Node) -> Add:
    _need_two(node, "ADD")
    flags = _flags(
        node,
        chown="string",
        chmod="string",
        link="bool",
        keep_git_dir="bool",
        checksum="string",
        unpack="bool",
        exclude="strings",
    )
    return Add(
        **_transfer(node, "ADD", flags),
        keep_git_dir=flags.boolean("keep-git-dir"),
        checksum=flags.string("checksum"),
        unpack=flags.boolean("unpack"),
    )


def _copy(node: Node) -> Copy:
    _need_two(node, "COPY")
    flags = Flags(
        node.statement.flags,
        {
            "chown": "string",
            "from": "string",
            "chmod": "string",
            "link": "bool",
            "exclude": "strings",
            "parents": "bool",
        },
    )
    return Copy(
        **_transfer(node, "COPY", flags),
        source_stage=flags.string("from"),
        parents=flags.boolean("parents") or False,
    )


def _onbuild(node: Node) -> Onbuild:
    trigger = node.statement.trigger
    if trigger is None:
        raise InstructionError("ONBUILD requires at least one argument")
    _flags(node)
    keyword = gotext.upper(trigger.keyword)
    if keyword == "ONBUILD":
        raise InstructionError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if keyword in {"MAINTAINER", "FROM"}:
        raise InstructionError(f"{keyword} isn't allowed as an ONBUILD trigger")
    keyword_and_blanks = _ONBUILD.match(node.text)
    expression = node.text[keyword_and_blanks.end() :] if keyword_and_blanks else node.text
    bodies = "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in node.heredocs)
    return Onbuild(**common(node), expression=expression + bodies)


def _workdir(node: Node) -> Workdir:
    path = _exactly_one(node, "WORKDIR")
    _flags(node)
    return Workdir(**common(node), path=path)


def _command_line(node: Node) -> CommandLine:
    words = node.statement.arguments.words
    json = node.statement.is_json
    args = words if json or not words else (" ".join(words),)
    files = tuple(InlineFile(heredoc.name, heredoc.content, heredoc.chomp) for heredoc in node.heredocs)
    return CommandLine(args, files, shell_form=not json)


def _run(node: Node) -> Run:
    flags = _flags(node, device="strings", mount="strings", network="string", security="string")
    devices = tuple(parse_device(flag) for flag in flags.strings("device"))
    mounts = tuple(source_only(flag) for flag in flags.strings("mount"))
    network = flags.string("network", "default")
    if network not in {"default", "none", "host"}:
        raise InstructionError(f"invalid network mode {gotext.quote(network)}")
    security = flags.string("security", "sandbox")
    if security not in {"sandbox", "insecure"}:
        raise InstructionError(f"security {gotext.quote(security)} is not valid")
    return Run(
        **common(node),
        command=_command_line(node),
        mount_flags=flags.strings("mount"),
        mounts=mounts,
        devices=devices,
        network=cast("Network", network),
        security=cast("Security", security),
        flags_used=flags.used,
    )


def _cmd(node: Node) -> Cmd:
    _flags(node)
    return Cmd(**common(node), command=_command_line(node))


def _entrypoint(node: Node) -> Entrypoint:
    _flags(node)
    command = _command_line(node)
    return Entrypoint(**common(node), command=command if command.args else CommandLine(None, (), command.shell_form))


def _healthcheck(node: Node) -> Healthcheck:
    first, *words = _at_least_one(node, "HEALTHCHECK")
    kind = gotext.upper(first)
    if kind == "NONE":
        if words:
            raise InstructionError("HEALTHCHECK NONE takes no arguments")
        return Healthcheck(**common(node), health=HealthTest(("NONE",)))
    flags = _flags(
        node, interval="string", timeout="string", start_period="string", start_interval="string", retries="string"
    )
    if kind != "CMD":
        raise InstructionError(f"Unknown type {gotext.quote(kind)} in HEALTHCHECK (try CMD)")
    if not words:
        raise InstructionError("Missing command after HEALTHCHECK CMD")
    test = ("CMD", *words) if node.statement.is_json else ("CMD-SHELL", " ".join(words))
    health = HealthTest(
        test,
        interval=_interval(flags, "interval"),
        timeout=_interval(flags, "timeout"),
        start_period=_interval(flags, "start-period"),
        start_interval=_interval(flags, "start-interval"),
        retries=_retries(flags),
    )
    return Healthcheck(**common(node), health=health)


def _interval(flags: Flags, name: str) -> int:
    text = flags.string(name)
    try:
        duration = parse_duration(text) if text else 0
    except ValueError as error:
        raise InstructionError(str(error)) from None
    if duration and duration < _MILLISECOND:
        raise InstructionError(f"Interval {gotext.quote(name)} cannot be less than 1ms")
    return duration


def _retries(flags: Flags) -> int:
    text = flags.string("retries")
    try:
        retries = gotext.parse_int(text, 32) if text else 0
    except ValueError as error:
        raise InstructionError(str(error)) from None
    if retries < 0:
        raise InstructionError(f"--retries cannot be negative ({retries})")
    return retries


def _expose(node: Node) -> Expose:
    ports = _at_least_one(node, "EXPOSE")
    _flags(node)
    return Expose(**common(node), ports=tuple(sorted(ports)))


def _user(node: Node) -> User:
    user = _exactly_one(node, "USER")
    _flags(node)
    return User(**common(node), user=user)


def _volume(node: Node) -> Volume:
    words = _at_least_one(node, "VOLUME")
    _flags(node)
    volumes = tuple(gotext.trim_space(word) for word in words)
    if not all(volumes):
        raise InstructionError("VOLUME specified can not be an empty string")
    return Volume(**common(node), volumes=volumes)


def _stop_signal(node: Node) -> StopSignal:
    return StopSignal(**common(node), signal=_exactly_one(node, "STOPSIGNAL"))


def _shell(node: Node) -> Shell:
    _flags(node)
    words = _at_least_one(node, "SHELL")
    if not node.statement.is_json:
        raise InstructionError("SHELL requires the arguments to be in JSON form")
    return Shell(**common(node), shell=words)


_PARSERS: dict[str, Callable[[Node], Command]] = {
    "add": _add,
    "arg": _arg,
    "cmd": _cmd,
    "copy": _copy,
    "entrypoint": _entrypoint,
    "env": _env,
    "expose": _expose,
    "healthcheck": _healthcheck,
    "label": _label,
    "maintainer": _maintainer,
    "onbuild": _onbuild,
    "run": _run,
    "shell": _shell,
    "stopsignal": _stop_signal,
    "user": _user,
    "volume": _volume,
    "workdir": _workdir,
}
