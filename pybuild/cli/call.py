"""`pybuild build --call` and `--check`: questions about a Dockerfile, answered without building it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pybuild.cli import dockerflags, flags
from pybuild.cli.program import inputs_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from pybuild.frontend.dockerfile.frontend import DockerfileBuild
    from pybuild.session.secrets import EnvironmentSecret, SecretValue

_QUESTIONS = ("check", "outline", "targets")


def run(options: argparse.Namespace, secrets: Mapping[str, SecretValue | EnvironmentSecret]) -> int:
    """Answer the question.

    Raises:
        UsageError: there is no such question, or no Dockerfile.
    """
    question, as_json = _question(options)
    if not dockerflags.is_dockerfile(options):
        raise flags.UsageError("--call and --check are for Dockerfiles", hint="`pybuild targets` lists a Buildfile's")
    from pybuild._api import embedded
    from pybuild.engine.dockerfiles import open_dockerfile

    inputs = inputs_of(options)
    build = open_dockerfile(inputs, embedded(), secrets=secrets)
    if question == "check":
        return _check(build, as_json=as_json)
    answer = _outline(build, as_json=as_json) if question == "outline" else _targets(build, as_json=as_json)
    sys.stdout.write(answer)
    return 0


def _question(options: argparse.Namespace) -> tuple[str, bool]:
    parts = (options.call or "check").split(",")
    question = parts[0].removeprefix("subrequests.")
    question = {"lint": "check"}.get(question, question)
    if question not in _QUESTIONS:
        raise flags.UsageError(f'--call "{options.call}": there is no such question', hint=", ".join(_QUESTIONS))
    extra = [part for part in parts[1:] if part not in ("format=json", "format=text")]
    if extra:
        raise flags.UsageError(f'--call "{options.call}": "{extra[0]}" is not known', hint="format=json or format=text")
    return question, "format=json" in parts[1:]


def _check(build: DockerfileBuild, *, as_json: bool) -> int:
    from pybuild.frontend.dockerfile.calls.check import CheckResult

    error = build.check()
    result = CheckResult(build.text.filename, build.text.data, tuple(build.warnings), error)
    sys.stdout.write(result.json() + "\n" if as_json else result.text())
    if not as_json and error is not None:
        print(f"error: {result.error_text()}", file=sys.stderr, end="")
    return result.status


def _outline(build: DockerfileBuild, *, as_json: bool) -> str:
    from pybuild.frontend.dockerfile.calls.outline import outline_of

    found = outline_of(build.lowered().target, build.text.data)
    return found.json() + "\n" if as_json else found.text()


def _targets(build: DockerfileBuild, *, as_json: bool) -> str:
    from pybuild.frontend.dockerfile.calls.targets import list_targets

    found = list_targets(build.text.data, build.text.filename, dialect=build.dialect, library=build.library())
    return found.json() + "\n" if as_json else found.text()
