"""`pybuild targets`: what there is to build."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybuild.cli import flags

if TYPE_CHECKING:
    import argparse

    from pybuild.dsl.args import Parameter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    flags.add_file(parser)
    flags.add_arg(parser, "an argument: shown as the default where a target has it; of a Dockerfile, for INCLUDE")
    flags.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from pybuild.cli import dockerflags

    options.name = None
    if dockerflags.is_dockerfile(options):
        return _stages(options)
    from pybuild.dsl.args import with_defaults
    from pybuild.dsl.buildfile import load_buildfile

    buildfile = load_buildfile(options.file)
    given = flags.pairs(options.args, "--arg")
    if options.format == "json":
        import json

        listed = [
            {
                "name": target.name,
                "default": target is buildfile.default,
                "description": target.description,
                "line": target.location.line,
                "parameters": [
                    {
                        "name": parameter.name,
                        "type": parameter.type_name,
                        "required": parameter.required,
                        "default": None if parameter.required else parameter.default_text,
                    }
                    for parameter in with_defaults(target.parameters, given)
                ],
            }
            for target in buildfile.targets.values()
        ]
        print(json.dumps(listed, indent=2))
        return 0
    rows = [("TARGET", "DESCRIPTION")]
    for target in buildfile.targets.values():
        star = " *" if target is buildfile.default else ""
        rows.append((f"{target.name}{star}", target.description))
        rows += [_argument(parameter) for parameter in with_defaults(target.parameters, given)]
    flags.print_table(rows)
    if buildfile.default is not None:
        print("* is built by default")
    return 0


def _stages(options: argparse.Namespace) -> int:
    """The stages of a Dockerfile: those with names, and the last one."""
    from pathlib import Path

    from pybuild.frontend.dockerfile.calls.targets import list_targets
    from pybuild.frontend.dockerfile.dialect import dialect_in
    from pybuild.frontend.dockerfile.includes import directory_library

    path = Path(options.file)
    if options.file == ".":
        path = next(found for name in ("Dockerfile", "dockerfile") if (found := Path(name)).exists())
    try:
        data = path.read_bytes()
    except OSError as error:
        raise flags.UsageError(f'cannot read "{path}": {error.strerror}') from None
    given = flags.pairs(options.args, "--arg")
    stages = list_targets(data, str(path), dialect=dialect_in(data), library=directory_library(path, given)).stages
    if options.format == "json":
        import json

        listed: list[dict[str, object]] = [
            {
                "name": stage.name,
                "default": stage is stages[-1],
                "description": stage.description,
                "line": stage.lines.first,
                "parameters": [],
            }
            for stage in stages
        ]
        print(json.dumps(listed, indent=2))
        return 0
    named = [stage for stage in stages if stage.name or stage is stages[-1]]
    rows = [(f"{stage.name}{' *' if stage is stages[-1] else ''}".strip(), stage.description) for stage in named]
    flags.print_table([("TARGET", "DESCRIPTION"), *rows])
    print("* is built by default")
    return 0


def _argument(parameter: Parameter) -> tuple[str, str]:
    """An argument as it is given on the command line, and what it may be."""
    value = "..." if parameter.required else parameter.default_text
    return f"  --arg {parameter.name}={value}", parameter.type_name + (", required" if parameter.required else "")
