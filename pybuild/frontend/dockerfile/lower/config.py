"""The instructions that change the image config and what later steps inherit. Mirrors dockerfile2llb/convert.go."""

from __future__ import annotations

from pybuild.errors import FrontendError
from pybuild.frontend.dockerfile import gotext, rules
from pybuild.frontend.dockerfile.instructions import (
    Arg,
    ArgDefinition,
    Cmd,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Label,
    Volume,
    Workdir,
)
from pybuild.frontend.dockerfile.lint import Linter
from pybuild.frontend.dockerfile.lower import checks, paths
from pybuild.frontend.dockerfile.lower.args import NOT_IN_ENV
from pybuild.frontend.dockerfile.lower.gojson import duration, quote_list, value_list
from pybuild.frontend.dockerfile.lower.metadata import metadata
from pybuild.frontend.dockerfile.lower.names import shown, step_name
from pybuild.frontend.dockerfile.lower.outline import ArgFact
from pybuild.frontend.dockerfile.lower.outputs import Output, edge_of
from pybuild.frontend.dockerfile.lower.ports import PortWord
from pybuild.frontend.dockerfile.lower.run import with_shell
from pybuild.frontend.dockerfile.lower.scope import Scope
from pybuild.frontend.dockerfile.lower.stage import StageState
from pybuild.frontend.dockerfile.lower.values import parse_owner
from pybuild.llb import construct
from pybuild.llb.files import UNSET_TIME, MkdirAction
from pybuild.llb.vertex import Edge
from pybuild.oci import imageconfig

_SECOND = 1_000_000_000


def lower_env(scope: Scope, stage: StageState, command: Env, linter: Linter) -> None:
    """ENV: for later steps, and in the config."""
    words = ["ENV"]
    for pair in command.pairs:
        if pair.legacy:
            linter.warn(rules.LEGACY_KEY_VALUE_FORMAT, command.lines, command=command.keyword)
        checks.secret_name(linter, command.lines, "ENV", pair.key)
        words.append(f"{pair.key}={pair.value}")
        stage.state.set_env(pair.key, pair.value)
        stage.image.set_env(pair.key, pair.value)
    stage.image.commit(" ".join(words), created=scope.created)


def lower_label(scope: Scope, stage: StageState, command: Label, linter: Linter) -> None:
    """LABEL."""
    labels = stage.image.labels = stage.image.labels if stage.image.labels is not None else {}
    words = ["LABEL"]
    for pair in command.pairs:
        if pair.legacy:
            linter.warn(rules.LEGACY_KEY_VALUE_FORMAT, command.lines, command=command.keyword)
        labels[pair.key] = pair.value
        words.append(f"{pair.key}={pair.value}")
    stage.image.commit(" ".join(words), created=scope.created)


def lower_arg(scope: Scope, stage: StageState, command: Arg, linter: Linter) -> None:
    """ARG: a build argument, a default, or the value from before the first FROM."""
    words: list[str] = []
    for definition in command.definitions:
        checks.secret_name(linter, command.lines, "ARG", definition.name)
        value, inherited = _arg_value(scope, stage, command, definition, linter)
        effective = ArgDefinition(definition.name, value, definition.description)
        if value is not None and definition.name not in NOT_IN_ENV:
            stage.state.set_env(definition.name, value)
        if not inherited:
            stage.outline.args[definition.name] = ArgFact(effective, command.lines, value or "")
        stage.outline.used.add(definition.name)
        stage.args.append(effective)
        words.append(definition.name if value is None else f"{definition.name}={value}")
    stage.image.commit("ARG " + " ".join(words), created=scope.created)


def _arg_value(
    scope: Scope, stage: StageState, command: Arg, definition: ArgDefinition, linter: Linter
) -> tuple[str | None, bool]:
    """The value, and whether it comes from an ARG before the first FROM."""
    if definition.name in scope.build_args:
        return scope.build_args[definition.name], False
    if definition.value is None:
        return scope.global_args.get(definition.name), definition.name in scope.global_args
    env = stage.state.env
    return checks.word_of(linter, command.lines, definition.value, env, stage.args, scope.lexer), False


def lower_cmd(scope: Scope, stage: StageState, command: Cmd, linter: Linter) -> None:
    """CMD."""
    checks.used_once(linter, stage, command, "cmd")
    args = _process(stage, command, linter)
    stage.image.cmd = args
    stage.image.args_escaped = True
    stage.image.commit(f"CMD {quote_list(args)}", created=scope.created)


def lower_entrypoint(scope: Scope, stage: StageState, command: Entrypoint, linter: Linter) -> None:
    """ENTRYPOINT; a CMD of the base image goes with the base's entrypoint."""
    checks.used_once(linter, stage, command, "entrypoint")
    args = _process(stage, command, linter)
    stage.image.entrypoint = args
    if "cmd" not in stage.seen_once:
        stage.image.cmd = None
    stage.image.commit(f"ENTRYPOINT {quote_list(args)}", created=scope.created)


def _process(stage: StageState, command: Cmd | Entrypoint, linter: Linter) -> list[str]:
    args = list(command.command.args or ())
    if not command.command.shell_form:
        return args
    if not stage.image.shell:
        linter.warn(rules.JSON_ARGS_RECOMMENDED, command.lines, instruction=command.keyword)
    return with_shell(stage.image, args)


def lower_healthcheck(scope: Scope, stage: StageState, command: Healthcheck, linter: Linter) -> None:
    """HEALTHCHECK."""
    checks.used_once(linter, stage, command, "healthcheck")
    health = command.health
    stage.image.healthcheck = imageconfig.Healthcheck(
        test=health.test,
        interval=health.interval,
        timeout=health.timeout,
        start_period=health.start_period,
        start_interval=health.start_interval,
        retries=health.retries,
    )
    text = (
        f"{{Test:{value_list(health.test)} Interval:{duration(health.interval)} Timeout:{duration(health.timeout)} "
        f"StartPeriod:{duration(health.start_period)} StartInterval:{duration(health.start_interval)} "
        f"Retries:{health.retries}}}"
    )
    stage.image.commit(f"HEALTHCHECK {text}", created=scope.created)


def lower_expose(scope: Scope, stage: StageState, command: Expose, linter: Linter) -> None:
    """EXPOSE; each word may expand to several."""
    words = [word for port in command.ports for word in scope.lexer.words(port, stage.state.env)]
    found: list[str] = []
    for word in words:
        port = PortWord.parse(word)
        if port.protocol != gotext.lower(port.protocol):
            linter.warn(rules.EXPOSE_PROTO_CASING, command.lines, port=word)
        if port.address or port.host:
            linter.warn(rules.EXPOSE_INVALID_FORMAT, command.lines, port=word)
        found += port.exposed()
    exposed = stage.image.exposed_ports = stage.image.exposed_ports if stage.image.exposed_ports is not None else {}
    exposed.update(dict.fromkeys(found))
    stage.image.commit(f"EXPOSE {value_list(found)}", created=scope.created)


def lower_volume(scope: Scope, stage: StageState, command: Volume) -> None:
    """VOLUME."""
    volumes = stage.image.volumes = stage.image.volumes if stage.image.volumes is not None else {}
    for path in command.volumes:
        if not path:
            raise FrontendError("VOLUME specified can not be an empty string")
        volumes[path] = None
    stage.image.commit(f"VOLUME {value_list(command.volumes)}", created=scope.created)


def set_working_dir(stage: StageState, path: str) -> str:
    """Change the working directory of config and state; returns it with forward slashes.

    Raises:
        FrontendError: a path that is not on the system drive of a Windows image.
    """
    os_name = stage.os
    try:
        directory = paths.working_dir(stage.image.working_dir, path, os_name)
    except ValueError as error:
        raise FrontendError(f"normalizing workdir: {error}") from None
    stage.image.working_dir = directory
    directory = paths.to_slash(directory, os_name)
    stage.state.set_dir(directory)
    return directory


def lower_workdir(scope: Scope, stage: StageState, command: Workdir, linter: Linter) -> None:
    """WORKDIR: also makes the directory."""
    if not stage.workdir_set and not paths.is_absolute(command.path, stage.os):
        linter.warn(rules.WORKDIR_RELATIVE_PATH, command.lines, path=gotext.quote(command.path))
    stage.workdir_set = True
    directory = set_working_dir(stage, command.path)
    if directory != "/":
        _make_directory(scope, stage, command, directory)
    stage.image.commit(f"WORKDIR {directory}", layer=directory != "/", created=scope.created)


def _make_directory(scope: Scope, stage: StageState, command: Workdir, directory: str) -> None:
    user = stage.image.user
    action = MkdirAction(
        path=paths.go_join("/", paths.go_clean(directory)),
        mode=0o755,
        make_parents=True,
        owner=parse_owner(user) if user else None,
        timestamp=UNSET_TIME if scope.epoch is None else scope.epoch * _SECOND,
    )
    env = stage.state.env
    name = step_name(
        stage,
        shown(scope.lexer, command.code, env),
        with_platform=scope.options.multi_platform,
        platform=stage.platform or scope.target_platform,
        env=env,
    )
    locations, base = scope.locations(command.lines), stage.state.output
    facts = metadata(name)
    stage.state.with_output(
        Output(
            lambda: Edge(construct.file(edge_of(base), [(action, None)], metadata=facts, locations=locations)), [base]
        )
    )
