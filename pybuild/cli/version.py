"""`pybuild version`: the version, and with it what a report of a problem needs."""

from __future__ import annotations

import platform
import sys
from typing import TYPE_CHECKING

from pybuild.cli import flags

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    flags.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from pybuild import __version__
    from pybuild.platform import host_platform
    from pybuild.store.root import default_root

    facts = {
        "pybuild": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "platform": str(host_platform()),
        "store": str(default_root()),
    }
    if options.format == "json":
        import json

        print(json.dumps(facts, indent=2))
    else:
        for name, value in facts.items():
            print(f"{name + ':':10}{value}")
    sys.stdout.flush()
    return 0
