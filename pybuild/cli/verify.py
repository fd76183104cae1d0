"""`pybuild verify`: build a target on several engines and compare everything that came out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybuild.cli import dockerflags, flags, program

if TYPE_CHECKING:
    import argparse


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
    parser.add_argument(
        "--secret", metavar="SPEC", action="append", default=[], help="id=ID,src=FILE or id=ID,env=VARIABLE"
    )
    parser.add_argument("--no-cache", action="store_true", help="run every step in the first build of each engine")
    parser.add_argument(
        "--progress", choices=("auto", "tty", "plain", "quiet"), default="quiet", help="how to show the builds"
    )
    flags.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command: 0 when all engines agree, 1 when they differ."""
    from pybuild._api import request_of, session_for
    from pybuild.cli.progress import display
    from pybuild.session.secrets import parse_secrets
    from pybuild.verify.run import verify
    from pybuild.verify.verdict import as_json, as_text

    with flags.value_of("--secret"):
        secrets = parse_secrets(options.secret)
    inputs = program.inputs_of(options) if dockerflags.is_dockerfile(options) else None
    wanted = program.load(options, secrets)
    request = request_of(wanted.heads[:1], no_cache=["*"] if options.no_cache else [])
    name = wanted.name or options.file
    engines = [text.strip() for text in options.engines.split(",") if text.strip()]
    with display(options.progress) as sink:
        found = verify(request, engines, session_for(secrets), sink, inputs)
    if options.format == "json":
        import json

        print(json.dumps(as_json(name, found), indent=2))
    else:
        for line in as_text(name, found):
            print(line)
    return 0 if all(comparison.equal for comparison in found) else 1
