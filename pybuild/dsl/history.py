"""What each call adds to the history of an image: the entry that the same instruction of a Dockerfile makes.

So an image is the same, whichever of the two it is written in. The texts are those of BuildKit's frontend
(frontend/dockerfile/dockerfile2llb); calls that a Dockerfile does not have say so in their comment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pybuild.frontend.dockerfile.lower.gojson import duration, value_list
from pybuild.llb.files import FileAction, action_words
from pybuild.request import HistoryStep

if TYPE_CHECKING:
    from pybuild.oci.imageconfig import Healthcheck

OWN_COMMENT = "pybuild"
"""Comment of the entries of calls that no instruction stands for."""
_WORDS = {"user": "USER", "stop_signal": "STOPSIGNAL", "author": "MAINTAINER"}
_MAPPINGS = {"env": "ENV", "labels": "LABEL", "arg": "ARG"}
_LISTS = {"shell": "SHELL", "exposed_ports": "EXPOSE", "volumes": "VOLUME"}
_PROCESSES = {"cmd": "CMD", "entrypoint": "ENTRYPOINT"}


def config_step(member: str, value: Any) -> HistoryStep | None:
    """The entry of a call that changes one member of the config; None for one that leaves no trace."""
    if member in _WORDS:
        return HistoryStep(text=f"{_WORDS[member]} {value}")
    if member in _MAPPINGS:
        pairs: Mapping[str, str | None] = value
        words = [name if text is None else f"{name}={text}" for name, text in pairs.items()]
        return HistoryStep(text=" ".join([_MAPPINGS[member], *words]))
    if member in _LISTS:
        return HistoryStep(text=f"{_LISTS[member]} {value_list(value)}")
    if member in _PROCESSES:
        words, by_shell = value
        return HistoryStep(kind="list", text=_PROCESSES[member], words=tuple(words), by_shell=by_shell)
    if member == "healthcheck":
        return HistoryStep(text=_healthcheck(value))
    return None


def _healthcheck(check: Healthcheck) -> str:
    return (
        f"HEALTHCHECK {{Test:{value_list(check.test)} Interval:{duration(check.interval)} "
        f"Timeout:{duration(check.timeout)} StartPeriod:{duration(check.start_period)} "
        f"StartInterval:{duration(check.start_interval)} Retries:{check.retries}}}"
    )


def workdir_step(path: str, *, layer: bool) -> HistoryStep:
    """The entry of `workdir`; a relative path is completed when the base is known."""
    return HistoryStep(kind="workdir", text=path, layer=layer)


def run_step(
    args: Sequence[str],
    declared: Sequence[tuple[str, str | None]],
    variables: Mapping[str, str],
    *,
    by_shell: bool,
) -> HistoryStep:
    """The entry of `run`: the arguments that it could see stand in front of the command."""
    values = [f"{name}={variables.get(name, value or '')}" for name, value in declared]
    text = " ".join(["RUN", *([f"|{len(values)}", *values] if values else [])])
    return HistoryStep(kind="run", text=text, words=tuple(args), by_shell=by_shell, layer=True)


def transfer_step(
    word: str, sources: Sequence[str], dest: str, *, owner: str | None, mode: int | str | None, parents: bool
) -> HistoryStep:
    """The entry of `copy` and `add`."""
    words = [word, *(["--parents"] if parents else [])]
    words += [f"--chown={owner}"] if owner else []
    words += [f"--chmod={f'{mode:04o}' if isinstance(mode, int) else mode}"] if mode else []
    return HistoryStep(text=" ".join([*words, *sources, dest]) + " # buildkit", layer=True)


def own_step(text: str) -> HistoryStep:
    """The entry of a call that a Dockerfile does not have."""
    return HistoryStep(text=f"{text} # {OWN_COMMENT}", layer=True, comment=OWN_COMMENT)


def action_step(action: FileAction) -> HistoryStep:
    """The entry of a call that is one file action."""
    return own_step(action_words(action))


__all__ = ["OWN_COMMENT", "action_step", "config_step", "own_step", "run_step", "transfer_step", "workdir_step"]
