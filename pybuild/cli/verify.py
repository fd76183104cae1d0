"""`pybuild verify`: build a target on several engines and compare everything that came out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybuild.cli import dockerflags, flags, program

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from pybuild.protocols import SolveRequest
    from pybuild.session.secrets import EnvironmentSecret, SecretValue
    from pybuild.verify.verdict import Comparison


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    program.add_arguments(parser)
    parser.add_argument(
        "--engines",
        metavar="A,B",
        default="embedded,buildkit",
        help="names or addresses; each is compared with the first (default: embedded,buildkit)",
    )
    flags.add_allow(parser)
    flags.add_session(parser)
    parser.add_argument("--no-cache", action="store_true", help="run every step in the first build of each engine")
    parser.add_argument(
        "--progress", choices=("auto", "tty", "plain", "quiet"), default="quiet", help="how to show the builds"
    )
    flags.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command: 0 when all engines agree, 1 when they differ."""
    from pybuild.cli.progress import display
    from pybuild.engine.dockerfiles import is_extended
    from pybuild.verify.run import verify
    from pybuild.verify.verdict import as_json, as_text

    secrets = flags.secrets(options)
    inputs = program.inputs_of(options) if dockerflags.is_dockerfile(options) else None
    if inputs is not None and is_extended(inputs):
        inputs = None  # what pybuild makes of it is solved by all
    engines = [text.strip() for text in options.engines.split(",") if text.strip()]
    found: dict[str, list[Comparison]] = {}
    with display(options.progress) as sink, flags.session(options, secrets) as session:
        for name, request in _requests(options, secrets):
            found[name] = verify(request, engines, session, sink, inputs)
    if options.format == "json":
        import json

        documents = [as_json(name, comparisons) for name, comparisons in found.items()]
        print(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2))
    else:
        for name, comparisons in found.items():
            for line in as_text(name, comparisons):
                print(line)
    return 0 if all(one.equal for comparisons in found.values() for one in comparisons) else 1


def _requests(
    options: argparse.Namespace, secrets: Mapping[str, SecretValue | EnvironmentSecret]
) -> Iterator[tuple[str, SolveRequest]]:
    """What to compare, by name: the target for each platform that is asked for."""
    from pybuild._request import request_of

    wanted = program.load(options, secrets)
    name = wanted.name or options.file
    for head in wanted.heads:
        request = request_of([head], no_cache=["*"] if options.no_cache else [], allow=flags.allowed(options))
        yield f"{name} ({head[0]})" if len(wanted.heads) > 1 else name, request
