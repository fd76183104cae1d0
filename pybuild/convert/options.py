"""The options of a build as the code of a `BuildOptions`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pybuild.convert.layout import Call, Listing
from pybuild.convert.literals import literal
from pybuild.dsl.buildoptions import EPOCH, BuildOptions, from_frontend
from pybuild.errors import ConvertError
from pybuild.frontend.dockerfile.instructions import Dockerfile
from pybuild.frontend.dockerfile.shellwords import Lexer
from pybuild.llb.meta import HostIP, ProxyEnv, Ulimit

_SIZES = ((1 << 30, "g"), (1 << 20, "m"), (1 << 10, "k"))


def options_call(
    raw: Mapping[str, str], dockerfile: Dockerfile, lexer: Lexer, file: str, source: Callable[[str], str]
) -> Call | None:
    """`BuildOptions(...)` with what the options of a frontend and the Dockerfile's SOURCE_DATE_EPOCH say.

    Args:
        raw: options by BuildKit's names.
        dockerfile: as parsed.
        lexer: reads words.
        file: what the Dockerfile is called.
        source: gives the code of the repository or download that is the context of a name; "" where it is none.

    Returns:
        None where they say nothing.

    Raises:
        FrontendError: an option is wrong.
        ConvertError: SOURCE_DATE_EPOCH depends on another argument.
    """
    asked = from_frontend(raw).over(BuildOptions(epoch=_own_epoch(dockerfile, lexer, file)))
    call = Call("BuildOptions")
    for name in ("network", "hostname", "cgroup_parent", "cache_namespace", "pull"):
        value: str | None = getattr(asked, name)
        call.add(name, literal(value) if value else None)
    if asked.epoch is not None and asked.epoch != "":
        dated = source(asked.epoch) if isinstance(asked.epoch, str) else str(asked.epoch)
        call.add("epoch", dated or literal(str(asked.epoch)))
    call.add("shm_size", _size(asked.shm_size) if asked.shm_size else None)
    _add_mapping(call, "hosts", _hosts(asked.hosts))
    _add_mapping(call, "ulimits", [(limit.name, _limit(limit)) for limit in asked.ulimits])
    _add_mapping(call, "proxies", _proxies(asked.proxies))
    _add_mapping(call, "labels", [(name, literal(text)) for name, text in asked.labels])
    return call if call.args else None


def _own_epoch(dockerfile: Dockerfile, lexer: Lexer, file: str) -> str | None:
    """The default of a SOURCE_DATE_EPOCH before the first FROM."""
    for arg in reversed(dockerfile.global_args):
        for item in reversed(arg.definitions):
            if item.name == EPOCH and item.value is not None:
                if "$" in item.value:
                    message = f"{EPOCH} depends on another argument"
                    raise ConvertError(message, locations=[arg.lines.location(file)], hint="write the value itself")
                return lexer.word(item.value, {}).text
    return None


def _size(count: int) -> str:
    for unit, suffix in _SIZES:
        if count % unit == 0:
            return literal(f"{count // unit}{suffix}")
    return str(count)


def _limit(limit: Ulimit) -> str:
    return str(limit.soft) if limit.soft == limit.hard else f"({limit.soft}, {limit.hard})"


def _hosts(found: Sequence[HostIP]) -> list[tuple[str, str]]:
    addresses: dict[str, list[str]] = {}
    for host in found:
        addresses.setdefault(host.host, []).append(literal(host.ip))
    return [(name, each[0] if len(each) == 1 else f"[{', '.join(each)}]") for name, each in addresses.items()]


def _proxies(found: ProxyEnv | None) -> list[tuple[str, str]]:
    texts = ((kind, getattr(found, f"{kind}_proxy", "")) for kind in ("http", "https", "ftp", "no", "all"))
    return [(kind, literal(text)) for kind, text in texts if text]


def _add_mapping(call: Call, name: str, pairs: list[tuple[str, str]]) -> None:
    if pairs:
        call.args.append(Listing("{}", [f"{literal(key)}: {code}" for key, code in pairs], lead=f"{name}="))
