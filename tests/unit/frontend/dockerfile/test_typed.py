"""Instructions of one stage: what they become, and what is wrong with them."""

import pytest

from pybuild.errors import InstructionError
from pybuild.frontend.dockerfile.dockerfile import parse
from pybuild.frontend.dockerfile.instructions import (
    Add,
    Arg,
    ArgDefinition,
    Cmd,
    Command,
    CommandLine,
    Copy,
    Device,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    HealthTest,
    InlineFile,
    InlineSource,
    KeyValue,
    Onbuild,
    Run,
    Shell,
    StopSignal,
    Volume,
)
from pybuild.frontend.dockerfile.lines import Lines


def command(text: str) -> Command:
    (found,) = parse(f"FROM a\n{text}".encode()).stages[0].commands
    return found


def problem(text: str) -> str:
    with pytest.raises(InstructionError) as caught:
        command(text)
    prefix = "dockerfile parse error on line 2: "
    assert caught.value.message.startswith(prefix)
    return caught.value.message.removeprefix(prefix)


def test_every_instruction_knows_its_text_lines_and_comments() -> None:
    found = parse(b"FROM a\n# says b\nrun --network=none b \\\n  c\n").stages[0].commands[0]
    assert (found.keyword, found.code, found.lines, found.comments) == (
        "run",
        "run --network=none b   c",
        Lines(3, 4),
        ("says b",),
    )


def test_run() -> None:
    found = command("RUN --mount=type=cache,target=$X,from=s --device=v/d,required --security=insecure --mount=ro a  b")
    assert isinstance(found, Run)
    assert found.command == CommandLine(("a  b",))
    assert found.mount_flags == ("type=cache,target=$X,from=s", "ro")
    assert [mount.source_stage for mount in found.mounts] == ["s", ""]
    assert found.devices == (Device("v/d", required=True),)
    assert (found.network, found.security, found.flags_used) == (
        "default",
        "insecure",
        ("device", "mount", "security"),
    )


def test_command_lines() -> None:
    run, cmd, exec_form = command("RUN <<-A cat\n\tb\nA"), command("CMD a"), command('ENTRYPOINT ["a", "b c"]')
    assert isinstance(run, Run)
    assert isinstance(cmd, Cmd)
    assert isinstance(exec_form, Entrypoint)
    assert run.command == CommandLine(("<<-A cat",), (InlineFile("A", "\tb\n", chomp=True),))
    assert cmd.command == CommandLine(("a",))
    assert exec_form.command == CommandLine(("a", "b c"), shell_form=False)


@pytest.mark.parametrize(
    ("text", "args", "shell_form"),
    [("CMD", (), True), ("CMD []", (), False), ("ENTRYPOINT", None, True), ("ENTRYPOINT []", None, False)],
)
def test_nothing_to_run(text: str, args: tuple[str, ...] | None, shell_form: bool) -> None:
    found = command(text)
    assert isinstance(found, Cmd | Entrypoint)
    assert found.command == CommandLine(args, shell_form=shell_form)


def test_copy_and_add() -> None:
    copy = command(
        "COPY --from=x --chown=1 --chmod=2 --link --parents=true --exclude=a --exclude=b 'c d' <<E <<-'F' /e\n"
        "\tf $g\nE\n\th\nF"
    )
    assert isinstance(copy, Copy)
    assert (copy.source_stage, copy.chown, copy.chmod, copy.link, copy.parents) == ("x", "1", "2", True, True)
    assert (copy.excludes, copy.sources, copy.destination) == (("a", "b"), ("'c", "d'"), "/e")
    assert copy.inline == (InlineSource("E", "\tf $g\n", expand=True), InlineSource("F", "h\n", expand=False))
    add = command("ADD --keep-git-dir=false --checksum=c --unpack --link=FALSE a b")
    assert isinstance(add, Add)
    assert (add.keep_git_dir, add.unpack, add.checksum, add.link) == (False, True, "c", False)
    plain = command("ADD a b")
    assert isinstance(plain, Add)
    assert (plain.keep_git_dir, plain.unpack) == (None, None)


def test_variables_and_labels() -> None:
    env, legacy, arg = command("ENV a=b c="), command("ENV a b c"), command("ARG a b=c=d e=")
    assert isinstance(env, Env)
    assert isinstance(legacy, Env)
    assert isinstance(arg, Arg)
    assert env.pairs == (KeyValue("a", "b"), KeyValue("c", ""))
    assert legacy.pairs == (KeyValue("a", "b c", legacy=True),)
    assert arg.definitions == (ArgDefinition("a"), ArgDefinition("b", "c=d"), ArgDefinition("e", ""))


def test_descriptions_come_from_comments() -> None:
    stage = parse(b"# base of all\nFROM a AS base\n# x\n# y is y\n# y no\nARG x y=1\n").stages[0]
    (arg,) = stage.commands
    assert stage.description == "of all"
    assert isinstance(arg, Arg)
    assert [definition.description for definition in arg.definitions] == ["", "is y"]


def test_healthchecks() -> None:
    found = command(
        "HEALTHCHECK --interval=1m --timeout=2s --start-period=0s --start-interval=1ms --retries=+4 CMD a b"
    )
    assert isinstance(found, Healthcheck)
    assert found.health == HealthTest(
        ("CMD-SHELL", "a b"), interval=60 * 10**9, timeout=2 * 10**9, start_interval=10**6, retries=4
    )
    none = command("HEALTHCHECK --nonsense none")
    assert isinstance(none, Healthcheck)
    assert none.health == HealthTest(("NONE",))
    exec_form = command('HEALTHCHECK cmd ["a"]')
    assert isinstance(exec_form, Healthcheck)
    assert exec_form.health.test == ("CMD", "a")


def test_the_rest() -> None:
    expose, volume, signal = command("EXPOSE 9 80 $X"), command('VOLUME [" a ", "b"]'), command("STOPSIGNAL a b")
    shell, onbuild = command('SHELL ["a"]'), command("onbuild  RUN <<A <<B\nx\nA\ny\nB")
    assert isinstance(expose, Expose)
    assert isinstance(volume, Volume)
    assert isinstance(signal, StopSignal)
    assert isinstance(shell, Shell)
    assert isinstance(onbuild, Onbuild)
    assert expose.ports == ("$X", "80", "9")
    assert volume.volumes == ("a", "b")
    assert signal.signal == "a b"
    assert shell.shell == ("a",)
    assert onbuild.expression == "RUN <<A <<B\nx\nA\ny\nB"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RUN --mont=x y", "unknown flag: --mont (did you mean mount?)"),
        ("RUN --network=hots y", 'invalid network mode "hots"'),
        ("RUN --network=host --network=host y", "duplicate flag specified: --network"),
        ("RUN --mount=from=$x y", "'from' doesn't support variable expansion, define alias stage instead"),
        ('RUN --mount=a\\"b y',
         'failed to parse csv mounts: parse error on line 1, column 2: bare " in non-quoted-field'),
        ("RUN --mount= y", "failed to parse csv mounts: EOF"),
        ("RUN --mount y", "missing a value on flag: --mount"),
        ("RUN --device=a,b y", "invalid field 'b' must be a key=value pair"),
        ("RUN --device=a,nam=b y", "unexpected key 'nam' in 'nam=b' (did you mean name?)"),
        ("RUN --device=a,name=b y", "device name already set to a"),
        ("RUN --device=required=x y", "invalid value for required: x"),
        ("COPY --link= a b", "missing a value on flag: --link"),
        ("COPY --link=yes a b", "expecting boolean value for flag --link, not: yes"),
        ("COPY --linked a b", "unknown flag: --linked (did you mean link?)"),
        ("COPY --FROM=x a b", "unknown flag: --FROM"),
        ("ADD a <<b\nb", "ADD cannot accept a heredoc as a destination"),
        ("ENV =a", "ENV names can not be blank"),
        ("ARG =a", "ARG names can not be blank"),
        ("LABEL --x a=b", "unknown flag: --x"),
        ("HEALTHCHECK none a", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK --retries=a CMD b", 'strconv.ParseInt: parsing "a": invalid syntax'),
        ("HEALTHCHECK --retries=2147483648 CMD b", 'strconv.ParseInt: parsing "2147483648": value out of range'),
        ("HEALTHCHECK --timeout=-1s CMD b", 'Interval "timeout" cannot be less than 1ms'),
        ("HEALTHCHECK --start-period=1 CMD b", 'time: missing unit in duration "1"'),
        ("HEALTHCHECK --x foo b", "unknown flag: --x"),
        ("STOPSIGNAL --x", "STOPSIGNAL requires exactly one argument"),
        ("USER", "USER requires exactly one argument"),
        ('SHELL ["a" "b"]', "SHELL requires the arguments to be in JSON form"),
        ("ONBUILD onbuild RUN a", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("ONBUILD From a", "FROM isn't allowed as an ONBUILD trigger"),
        ("FROM a b", "FROM requires either one or three arguments"),
        ("FROM a of b", "FROM requires either one or three arguments"),
        ("FROM a AS -b", 'invalid name for build stage: "-b", name can\'t start with a number or contain symbols'),
        ("FROM --platfrm=x a", "unknown flag: --platfrm (did you mean platform?)"),
        ("FRM a", "unknown instruction: FRM (did you mean FROM?)"),
        ("Copi a", "unknown instruction: Copi (did you mean copy?)"),
        ("zzzzz a", "unknown instruction: zzzzz"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_buildkits_words(text: str, message: str) -> None:
    assert problem(text) == message
