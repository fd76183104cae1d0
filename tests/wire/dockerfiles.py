"""Dockerfile cases of the vectors: a fake host that answers as the vectors' own, and what differs in a result."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pybuild.errors import FrontendError, PybuildError
from pybuild.frontend.dockerfile.dialect import Dialect
from pybuild.frontend.dockerfile.frontend import DockerfileBuild
from pybuild.frontend.dockerfile.gotext import valid
from pybuild.frontend.dockerfile.lint import LintWarning
from pybuild.frontend.dockerfile.lower.platforms import parse, print_all
from pybuild.frontend.protocols import FrontendImage, FrontendResult
from pybuild.llb import construct
from pybuild.llb.marshal import MarshalOptions, marshal
from pybuild.llb.meta import Constraints
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Edge
from pybuild.location import Location
from pybuild.platform import Platform
from tests.wire.cases import as_case, differences
from tests.wire.resolver import Resolver, answer

SESSION = "pybuildsession00000000000"
UNIQUE = "pybuildunique000000000000"
#: What the vectors' fake git and http sources say of their time.
SOURCE_TIME = 1700000000
_DEFAULT = Platform("linux", "amd64")


class FakeHost:
    """Answers as the fake gateway client of the vectors, and notes what it was asked.

    Args:
        case: opts.json.
        dockerfile: the Dockerfile.
        resolver: answers by reference and platform; what is not in it follows the documented rule.
        caps: all capabilities of the version.
    """

    def __init__(self, case: Mapping[str, Any], dockerfile: bytes, resolver: Resolver, caps: Sequence[str]) -> None:
        workers = case.get("worker_platforms") or ["linux/amd64"]
        target = case.get("opts", {}).get("platform") if case.get("mode") == "bare" else None
        self.build_platform = parse(target or workers[0])
        self.capabilities = frozenset(caps) - set(case.get("disable_caps", ()))
        self.session_id = "" if case.get("mode") == "bare" else SESSION
        self._case = case
        self._dockerfile = dockerfile
        self._resolver = resolver
        self.resolves: dict[tuple[str, str, str, str, str], None] = {}
        self.solves: list[str] = []

    @property
    def marshal_options(self) -> MarshalOptions:
        """How this host's client marshals."""
        return MarshalOptions(platform=_DEFAULT, local_unique=UNIQUE)

    def resolve_image(self, image: Edge | None) -> FrontendImage:
        """See frontend.protocols.FrontendHost."""
        assert image is not None
        vertex = image.vertex
        assert isinstance(vertex.op, SourceOp)
        options = dict(vertex.op.attrs)
        reference = vertex.op.reference
        platform = vertex.constraints.platform
        name = "" if platform is None else print_all(platform)
        store = options.get("oci.store", "")
        mode = "" if store else options.get("image.resolvemode", "default")
        self.resolves[reference, name, mode, store, vertex.name] = None
        found = answer(self._resolver, reference, platform, self.build_platform)
        return FrontendImage(reference=reference, digest=found.digest, config=found.config)

    def source_time(self, source: Edge) -> int | None:
        """See frontend.protocols.FrontendHost."""
        op = source.vertex.op
        assert isinstance(op, SourceOp)
        known = self._case.get("mode") != "bare" and op.scheme in ("git", "http", "https")
        return SOURCE_TIME if known else None

    def tree(self, head: Edge) -> FakeTree:
        """See frontend.protocols.FrontendHost."""
        definition = marshal(head, self.marshal_options)
        self.solves.append(definition.digests[0])
        return FakeTree(self._files(head))

    def _files(self, head: Edge) -> dict[str, bytes]:
        case, op = self._case, head.vertex.op
        own_name = case.get("opts", {}).get("filename", "Dockerfile")
        if not isinstance(op, SourceOp) or op.scheme == "git":
            return {own_name: self._dockerfile}
        if op.scheme in ("http", "https"):
            return {"context": case.get("http_context", "").encode("latin-1")}
        name = op.reference
        if name == case.get("opts", {}).get("dockerfilekey", "dockerfile"):
            return {own_name: self._dockerfile}
        ignore = case.get("dockerignore") if name == "context" else case.get("context_dockerignore", {}).get(name)
        return {} if ignore is None else {".dockerignore": ignore.encode("utf-8", "surrogateescape")}

    def input(self, name: str) -> Edge | None:
        """See frontend.protocols.FrontendHost."""
        reference = self._case.get("inputs", {}).get(name)
        if reference is None:
            return None
        constraints = Constraints(platform=_DEFAULT)
        return Edge(construct.source(f"docker-image://{reference}", constraints=constraints))

    def definition_of(self, head: Edge) -> bytes:
        """See frontend.protocols.FrontendHost."""
        return marshal(head, self.marshal_options).to_bytes()


class FakeTree:
    """Files by path."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def read(self, path: str, *, limit: int = -1) -> bytes | None:
        """See frontend.protocols.FrontendTree."""
        data = self._files.get(path)
        return data if data is None or limit < 0 else data[:limit]


def run_case(directory: Path, resolver: Resolver, caps: Sequence[str]) -> list[str]:
    """What differs between what we make of a case and what is expected; empty when nothing does."""
    case = json.loads((directory / "opts.json").read_text()) if (directory / "opts.json").exists() else {}
    expected = json.loads((directory / "expected.json").read_text())
    dockerfile = (directory / "Dockerfile").read_bytes()
    return list(_differences(case, expected, dockerfile, resolver, caps))


def run_listed(case: Mapping[str, Any], resolver: Resolver, caps: Sequence[str]) -> list[str]:
    """What differs in a case of dockerfiles.json, which holds its Dockerfile and what is expected, too."""
    dockerfile = case["dockerfile"].encode("utf-8", "surrogateescape")
    return list(_differences(case, case["expected"], dockerfile, resolver, caps))


def _differences(
    case: Mapping[str, Any], expected: Mapping[str, Any], dockerfile: bytes, resolver: Resolver, caps: Sequence[str]
) -> Iterator[str]:
    host = FakeHost(case, dockerfile, resolver, caps)
    build: DockerfileBuild | None = None
    error: PybuildError | None = None
    results: Sequence[FrontendResult] = ()
    definitions: list[Any] = []
    bare = case.get("mode") == "bare"
    try:
        build = DockerfileBuild(
            dict(case.get("opts", {})),
            host,
            dockerfile=dockerfile if bare else None,
            dialect=Dialect(labs=case.get("labs", False)),
        )
        if case.get("check"):
            error = build.check()
        else:
            results = build.lower()
            definitions = [_marshalled(result, host, build) for result in results]
    except PybuildError as problem:
        error = problem
    yield from _error_differences(case, expected, error)
    warnings = build.warnings if build is not None else []
    yield from _warning_differences(expected.get("warnings", []), warnings)
    if error is not None:
        return
    yield from _result_differences(expected.get("results", []), results, definitions)
    if not bare:
        yield from _request_differences(case, expected, host)


def _marshalled(result: FrontendResult, host: FakeHost, build: DockerfileBuild) -> Any:
    options = MarshalOptions(
        platform=result.platform or build.options.build_platforms[0],
        caps=host.capabilities,
        local_unique=UNIQUE,
    )
    try:
        return marshal(result.head, options)
    except PybuildError as error:
        raise FrontendError(f"failed to marshal LLB definition: {error.message}") from None


def _error_differences(
    case: Mapping[str, Any], expected: Mapping[str, Any], error: PybuildError | None
) -> Iterator[str]:
    wanted = expected.get("error")
    if wanted is None:
        if error is not None:
            yield f"error: {error.message!r} at {_ranges(error.locations)}, expected none"
        return
    if error is None:
        yield f"no error, expected {wanted['message']!r}"
        return
    found = (valid(error.message), _ranges(error.locations))
    alternatives = [
        (item["message"], item.get("locations", [])) for item in (wanted, *expected.get("error_alternatives", ()))
    ]
    if case.get("check"):
        found, *alternatives = ((message, _merged(places)) for message, places in (found, *alternatives))
    if found not in alternatives:
        yield f"error: {found}, expected {alternatives[0]}"


def _merged(places: Sequence[Sequence[Sequence[int]]]) -> list[list[list[int]]]:
    """A check tells all places of an error in one list, each line once."""
    spans = {tuple(span) for place in places for span in place}
    return [[list(span) for span in sorted(spans)]]


def _ranges(locations: Sequence[Location]) -> list[list[list[int]]]:
    return [[list(span) for span in location.spans] for location in locations]


def _warning_differences(expected: Sequence[Mapping[str, Any]], found: Sequence[LintWarning]) -> Iterator[str]:
    def key(item: Mapping[str, Any]) -> str:
        return json.dumps([item["rule"], item["message"], item["ranges"]])

    wanted = sorted(map(key, expected))
    mine = sorted(
        json.dumps([warning.rule.name, valid(warning.message), [list(span) for span in warning.lines.ranges]])
        for warning in found
    )
    if wanted != mine:
        missing = [item for item in wanted if item not in mine]
        extra = [item for item in mine if item not in wanted]
        yield f"warnings: missing {missing}, too many {extra}"
        return
    texts = {
        item["rule"]: (item.get("description", ""), item.get("url", "")) for item in expected if "description" in item
    }
    for warning in found:
        described = (warning.rule.description, warning.rule.url)
        if texts.get(warning.rule.name, described) != described:
            yield f"warning {warning.rule.name}: {described}, expected {texts[warning.rule.name]}"


def _result_differences(
    expected: Sequence[Mapping[str, Any]], results: Sequence[FrontendResult], definitions: Sequence[Any]
) -> Iterator[str]:
    if len(expected) != len(results):
        yield f"results: expected {len(expected)}, got {len(results)}"
    for number, (wanted, result, definition) in enumerate(zip(expected, results, definitions, strict=False)):
        facts = {
            "platform": "" if result.platform is None else print_all(result.platform),
            "image": result.config.decode(),
            "base_image": None if result.base_config is None else result.base_config.decode(),
            "epoch": result.epoch,
            "sbom_extras": sorted(result.scans) or None,
            "is_ignore_cache": result.no_cache or None,
        }
        for name, value in facts.items():
            if wanted.get(name, "" if name == "platform" else None) != value:
                yield f"result {number}: {name}: expected {wanted.get(name)!r}, got {value!r}"
        if "ops" not in wanted.get("definition", {"ops": []}):
            found = as_case(definition)["definition_sha256"]
            if found != wanted["definition"]["definition_sha256"]:
                yield f"result {number}: another definition: {found}"
        elif wanted.get("definition", {}).get("ops"):
            yield from (f"result {number}: {line}" for line in differences(wanted["definition"], definition))
        elif definition.ops:
            yield f"result {number}: expected scratch, got {len(definition.ops)} ops"


def _request_differences(case: Mapping[str, Any], expected: Mapping[str, Any], host: FakeHost) -> Iterator[str]:
    names = ("ref", "platform", "mode", "oci_store", "log")
    wanted = sorted([str(item.get(name, "")) for name in names] for item in expected.get("resolves", []))
    found = sorted(list(item) for item in host.resolves)
    if wanted != found:
        yield f"resolves: expected {wanted}, got {found}"
    if not case.get("check") and expected.get("pre_solves", []) != host.solves:
        yield f"pre_solves: expected {expected.get('pre_solves', [])}, got {host.solves}"
