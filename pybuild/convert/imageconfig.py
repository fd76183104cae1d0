"""An image config as the calls that set it, for what a Buildfile starts with."""

from __future__ import annotations

from collections.abc import Iterator

from pybuild.convert.function import keyword_arguments
from pybuild.convert.layout import Call
from pybuild.convert.literals import literal
from pybuild.frontend.dockerfile.instructions import HealthTest
from pybuild.frontend.dockerfile.lower.gojson import duration
from pybuild.frontend.dockerfile.lower.image import Image
from pybuild.oci.imageconfig import DEFAULT_PATH, Healthcheck


def config_calls(config: Image) -> list[Call]:
    """The calls that set what a config says, without an entry in the history; none for one that says nothing.

    Example:
        >>> from pybuild.frontend.dockerfile.lower.image import Image
        >>> [call.line for call in config_calls(Image(env=["A=1"], user="me"))]
        ['env(A="1")', 'user("me")', 'without_history()']
    """
    calls = list(_calls(config))
    return [*calls, Call("without_history")] if calls else []


def _calls(config: Image) -> Iterator[Call]:
    variables = [(name, literal(value)) for name, _, value in (item.partition("=") for item in config.env)]
    if variables and config.env != [f"PATH={DEFAULT_PATH}"]:
        yield Call("env", list(keyword_arguments(variables)))
    if config.working_dir:
        yield Call("workdir", [literal(config.working_dir)])
    if config.user:
        yield Call("user", [literal(config.user)])
    if config.labels:
        yield Call("label", list(keyword_arguments((name, literal(text)) for name, text in config.labels.items())))
    for name, words in (
        ("shell", config.shell),
        ("entrypoint", config.entrypoint),
        ("cmd", config.cmd),
        ("volume", list(config.volumes or ())),
        ("expose", list(config.exposed_ports or ())),
    ):
        if words:
            yield Call(name, [literal(word) for word in words])
    if config.stop_signal:
        yield Call("stop_signal", [literal(config.stop_signal)])
    if config.healthcheck is not None and config.healthcheck.test:
        yield healthcheck_call(config.healthcheck)


def healthcheck_call(health: HealthTest | Healthcheck) -> Call:
    """The call that sets a health check."""
    kind, *rest = health.test
    if kind == "NONE":
        shown = "None"
    elif kind == "CMD-SHELL":
        shown = literal(rest[0])
    else:
        shown = f"[{', '.join(map(literal, rest))}]"
    call = Call("healthcheck", [shown])
    for name in ("interval", "timeout", "start_period", "start_interval"):
        value: int = getattr(health, name)
        call.add(name, literal(_duration(value)) if value else None)
    return call.add("retries", str(health.retries) if health.retries else None)


def _duration(nanoseconds: int) -> str:
    return duration(nanoseconds).replace("m0s", "m").replace("h0m", "h")
