"""What several nodes export, and how that becomes one thing: an index of all images, one archive, one directory.

Images are pushed by each node under their digests alone, and then named by an index that this client writes, so no
layer travels through here (buildx, build/build.go and util/imagetools). Archives are put together from those of the
nodes. Files of a platform go into a folder of its name, as when one engine builds all of them.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import attrs

from pybuild.digest import Digest, sha256
from pybuild.errors import ExportError
from pybuild.exporter.attributes import Attributes
from pybuild.exporter.destination import open_destination
from pybuild.exporter.several import folder, is_split
from pybuild.oci import mediatypes
from pybuild.oci.descriptor import Descriptor
from pybuild.oci.layoutwriter import LayoutWriter
from pybuild.oci.reference import Reference, parse_reference
from pybuild.platform import Platform, matches
from pybuild.protocols import ExportResult, OutputSpec, Session, SolveRequest

_DIGEST: Final = "containerimage.digest"
_INDEXES: Final = {mediatypes.DOCKER_MANIFEST: mediatypes.DOCKER_INDEX}

Entry = dict[str, Any]
"""A descriptor in an index, as its JSON."""


@attrs.frozen(kw_only=True)
class Part:
    """What one node does: which platforms it builds, what it is asked to export, and what it says of that."""

    platforms: Sequence[Platform]
    outputs: Sequence[OutputSpec]
    exports: Sequence[ExportResult] = ()


def shared(request: SolveRequest, platforms: Sequence[Platform], place: Path) -> Part:
    """What a node is to export.

    Args:
        request: the whole build.
        platforms: what the node builds for.
        place: where archives of its own may lie.
    """
    place.mkdir()
    outputs = [_share(output, request, platforms, place / str(number)) for number, output in enumerate(request.outputs)]
    return Part(platforms=platforms, outputs=outputs)


def _share(output: OutputSpec, request: SolveRequest, platforms: Sequence[Platform], place: Path) -> OutputSpec:
    match output.type:
        case "local" if len(platforms) == 1 and is_split(output, len(request.variants)):
            return attrs.evolve(output, dest=str(Path(output.dest) / folder(platforms[0])))
        case "tar":
            return attrs.evolve(output, dest=str(place))
        case "oci":
            return attrs.evolve(output, dest=str(place), attrs=_without(output, "tar"))
        case _ if _is_pushed(output):
            names = ",".join(dict.fromkeys(reference.name for reference in _references(output)))
            kept = _without(output, "name", "push-by-digest", "name-canonical")
            return attrs.evolve(
                output, attrs=(*kept, ("name", names), ("push-by-digest", "true"), ("name-canonical", "true"))
            )
        case _:
            return output


def gather(request: SolveRequest, parts: Sequence[Part], session: Session) -> list[ExportResult]:
    """Make one thing of what the nodes exported, for every output of the request.

    Raises:
        ExportError: it cannot be written.
        SourceFetchError: the registry does not have what a node says it pushed.
    """
    results: list[ExportResult] = []
    for number, output in enumerate(request.outputs):
        asked = [(part, part.outputs[number]) for part in parts]
        if output.type == "tar":
            results.append(_tar(output, request, asked))
        elif output.type == "oci":
            results.append(_layout(output, request, asked))
        elif _is_pushed(output):
            said = [(part, part.exports[number]) for part in parts]
            results.append(_pushed(output, request, said, session))
        else:
            results.append(ExportResult(type=output.type, path=output.dest))
    return results


def _is_pushed(output: OutputSpec) -> bool:
    given = Attributes(output, ())
    return output.type in ("image", "registry") and given.flag("push", default=output.type == "registry")


def _references(output: OutputSpec) -> list[Reference]:
    names = [name.strip() for name in dict(output.attrs).get("name", "").split(",")]
    references = [parse_reference(name) for name in names if name]
    if not references:
        raise ExportError(f"type={output.type} is to be pushed, but has no name", hint="add -t NAME, or name=NAME")
    return references


def _without(output: OutputSpec, *names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in output.attrs if name not in names)


# ------------------------------------------------------------------------------------------------------ images


def _index(entries: Sequence[Entry], request: SolveRequest) -> tuple[Descriptor, bytes]:
    """One index of all, in the order in which the platforms were asked for."""
    wanted = [variant.platform for variant in request.variants]

    def place(entry: Entry) -> int:
        own = cast("Mapping[str, str]", entry.get("platform") or {})
        platform = Platform(own.get("os", ""), own.get("architecture", ""), own.get("variant", ""))
        return next((number for number, one in enumerate(wanted) if matches(one, platform)), len(wanted))

    ordered = sorted(entries, key=place)
    media_type = _INDEXES.get(str(ordered[0].get("mediaType")), mediatypes.OCI_INDEX)
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": ordered}
    data = json.dumps(document, indent=2, ensure_ascii=False).encode()
    return Descriptor(media_type=media_type, digest=sha256(data), size=len(data)), data


def _entries(root: Entry, data: bytes, platform: Platform) -> Iterator[Entry]:
    """The images behind a manifest or an index."""
    document = cast("Entry", json.loads(data))
    if "manifests" in document:
        yield from cast("list[Entry]", document["manifests"])
        return
    members = {"os": platform.os, "architecture": platform.architecture}
    yield {**root, "platform": {**members, "variant": platform.variant} if platform.variant else members}


def _facts(descriptor: Descriptor, names: str) -> tuple[tuple[str, object], ...]:
    described = {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}
    facts: dict[str, object] = {_DIGEST: descriptor.digest, "containerimage.descriptor": described}
    return tuple({**facts, **({"image.name": names} if names else {})}.items())


def _pushed(
    output: OutputSpec, request: SolveRequest, said: Sequence[tuple[Part, ExportResult]], session: Session
) -> ExportResult:
    from pybuild.registry.client import RegistryClient
    from pybuild.registry.push import RegistryWriter

    insecure = Attributes(output, ()).flag("registry.insecure", default=False)
    by_digest = Attributes(output, ()).flag("push-by-digest", default=False)
    references = _references(output)
    descriptor: Descriptor | None = None
    for reference in references:
        domain = reference.domain

        def credentials(domain: str = domain) -> tuple[str, str] | None:
            return session.credentials(domain)

        client = RegistryClient(domain, credentials, insecure=insecure)
        entries: list[Entry] = []
        for part, answer in said:
            digest = Digest(str(dict(answer.metadata)[_DIGEST]))
            found = client.manifest(attrs.evolve(reference, tag="", digest=digest))
            entries += _entries(_root(found.descriptor), found.data, part.platforms[0])
        descriptor, data = _index(entries, request)
        tag = "" if by_digest else reference.tagged.tag
        RegistryWriter(reference, credentials, insecure=insecure).manifest(descriptor, data, tag)
    assert descriptor is not None
    return ExportResult(type=output.type, metadata=_facts(descriptor, dict(output.attrs)["name"]))


def _root(descriptor: Descriptor) -> Entry:
    return {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}


def _layout(output: OutputSpec, request: SolveRequest, parts: Sequence[tuple[Part, OutputSpec]]) -> ExportResult:
    """An archive or a directory with the images of all nodes."""
    flat = Path(parts[0][1].dest).parent / "layout"
    writer = LayoutWriter(flat)
    entries: list[Entry] = []
    annotations: Entry = {}
    for part, asked in parts:
        with tarfile.open(asked.dest) as archive:
            (root,) = json.loads(_content(archive, "index.json"))["manifests"]
            blob = f"blobs/{root['digest'].replace(':', '/')}"
            annotations = annotations or root.get("annotations", {})
            document = _content(archive, blob)
            plain = {name: value for name, value in root.items() if name not in ("annotations", "platform")}
            entries += _entries(plain, document, part.platforms[0])
            is_index = "manifests" in json.loads(document)
            for member in archive:
                if member.isreg() and member.name.startswith("blobs/") and not (is_index and member.name == blob):
                    _take(archive, member, writer)
    descriptor, data = _index(entries, request)
    writer.put(descriptor.digest, data)
    writer.name({**_root(descriptor), **({"annotations": annotations} if annotations else {})})
    if Attributes(output, ()).flag("tar", default=True):
        _archive(flat, output.dest)
    else:
        _copy_layout(flat, output.dest)
    return ExportResult(
        type=output.type, path=output.dest, metadata=_facts(descriptor, dict(output.attrs).get("name", ""))
    )


def _content(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def _take(archive: tarfile.TarFile, member: tarfile.TarInfo, writer: LayoutWriter) -> None:
    digest = Digest(member.name.removeprefix("blobs/").replace("/", ":"))
    source = archive.extractfile(member)
    if source is not None and not writer.has(digest):
        writer.copy(digest, cast("BinaryIO", source))


def _archive(layout: Path, dest: str) -> None:
    """Write a layout as an archive that is the same every time."""
    with open_destination(dest, "oci") as file, tarfile.open(fileobj=file, mode="w|") as archive:
        for path in sorted(layout.rglob("*")):
            member = tarfile.TarInfo(path.relative_to(layout).as_posix())
            if path.is_dir():
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(member)
                continue
            member.size = path.stat().st_size
            with path.open("rb") as source:
                archive.addfile(member, source)


def _copy_layout(layout: Path, dest: str) -> None:
    """Add a layout to one that may be there; blobs first, the index last."""
    try:
        target = LayoutWriter(Path(dest))
        for path in (layout / "blobs/sha256").iterdir():
            digest = Digest(f"sha256:{path.name}")
            if not target.has(digest):
                with path.open("rb") as source:
                    target.copy(digest, source)
        for entry in json.loads((layout / "index.json").read_bytes())["manifests"]:
            target.name(entry)
    except OSError as error:
        raise ExportError(f'cannot write "{dest}": {error.strerror or error}') from error
    except ValueError as error:
        raise ExportError(str(error)) from error


# ------------------------------------------------------------------------------------------------------ files


def _tar(output: OutputSpec, request: SolveRequest, parts: Sequence[tuple[Part, OutputSpec]]) -> ExportResult:
    """One archive with a folder for each platform, or with the files of all of them."""
    split = is_split(output, len(request.variants))
    with open_destination(output.dest, "tar") as file, tarfile.open(fileobj=file, mode="w|") as archive:
        for part, asked in parts:
            prefix = folder(part.platforms[0]) if split and len(part.platforms) == 1 else ""
            with tarfile.open(asked.dest) as source:
                if prefix:
                    top = tarfile.TarInfo(prefix)
                    top.type, top.mode = tarfile.DIRTYPE, 0o755
                    archive.addfile(top)
                for member in source:
                    data = source.extractfile(member) if member.isreg() else None
                    archive.addfile(_below(prefix, member), data)
    return ExportResult(type="tar", path=output.dest)


def _below(prefix: str, member: tarfile.TarInfo) -> tarfile.TarInfo:
    if not prefix:
        return member
    pax = {name: value for name, value in member.pax_headers.items() if name not in ("path", "linkpath")}
    made = member.replace(name=f"{prefix}/{member.name.removeprefix('./')}".rstrip("/"), deep=False)
    made.pax_headers = pax
    if member.islnk():
        made.linkname = f"{prefix}/{member.linkname.removeprefix('./')}"
    return made
