"""The image config of a result: the config it inherits, changed as the definition says.

Where definition and execution meet: the graph says which source the result descends from and which steps made its
layers, the resolver knows that source's config, the patch holds what the user set. Mirrors what BuildKit's Dockerfile
frontend does with its `image` while it converts instructions (frontend/dockerfile/dockerfile2llb/convert.go).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from pybuild.engine.layerhistory import history_of_layers, layer_history
from pybuild.frontend.dockerfile.lower.gojson import quote_list, rfc3339
from pybuild.frontend.dockerfile.lower.image import EXPORTS
from pybuild.llb.ops import SourceOp
from pybuild.llb.paths import clean
from pybuild.llb.vertex import Edge, Graph
from pybuild.llb.walk import origin
from pybuild.oci.imageconfig import DEFAULT_PATH, ContainerConfig, History, ImageConfig, scratch_config, variables
from pybuild.passes.resolve import shell_of
from pybuild.platform import Platform, normalize
from pybuild.protocols import ImagePatch, MetadataResolver
from pybuild.request import HistoryStep


def base_config(head: Edge | None, platform: Platform, resolver: MetadataResolver) -> ImageConfig:
    """The config that a result inherits: its origin image's, or that of scratch."""
    source = origin(head) if head is not None else None
    if source is None or not isinstance(source.op, SourceOp):
        return scratch_config(platform)
    config = resolver.resolve(source, source.constraints.platform or platform).config
    return config if config is not None else scratch_config(platform)


def result_config(
    head: Edge | None, written: Edge | None, patch: ImagePatch, platform: Platform, resolver: MetadataResolver
) -> ImageConfig:
    """The image config of a result, without its layers.

    Args:
        head: the result, as it is solved.
        written: the result as the user wrote it, before passes.
        patch: what the definition sets. With a frontend's config as its base, the history is complete.
        platform: of the build.
        resolver: looks up what is inherited.
    """
    base = patch.base
    if base is None or not base.history:
        inherited = base_config(head, platform, resolver)
        base = inherited if base is None else attrs.evolve(base, history=inherited.history)
    config = apply_patch(base, patch)
    if is_told(written, patch):
        own = told_history(patch.steps, base, patch.epoch)
    else:
        own = layer_history(written)[patch.base_steps :] if patch.base is not None else ()
    return attrs.evolve(config, history=(*config.history, *own))


def is_told(written: Edge | None, patch: ImagePatch) -> bool:
    """Whether the definition itself says how each of its layers came to be."""
    told = sum(step.layer for step in patch.steps)
    if patch.base is not None:
        return told == len(layer_history(written)) - patch.base_steps
    return told == len(history_of_layers(written).entries)


def has_whole_history(written: Edge | None, patch: ImagePatch) -> bool:
    """Whether `result_config` gives the history of all layers: a frontend's, or one that the definition tells."""
    return patch.base is not None or is_told(written, patch)


def told_history(steps: Sequence[HistoryStep], base: ImageConfig, epoch: int | None = None) -> tuple[History, ...]:
    """The entries of the history that `steps` make of a base, oldest first; `epoch` is when, in seconds since 1970."""
    created = "" if epoch is None else rfc3339(epoch)
    shell = shell_of(base)
    directory = base.config.working_dir or "/"
    return tuple(
        History(
            created=created, created_by=_told(step, shell, directory), comment=step.comment, empty_layer=not step.layer
        )
        for step in steps
    )


def _told(step: HistoryStep, shell: Sequence[str], directory: str) -> str:
    words = (*shell, *step.words) if step.by_shell else step.words
    match step.kind:
        case "text":
            return step.text
        case "workdir":
            path = step.text
            return f"WORKDIR {path if path.startswith('/') else clean(f'{directory}/{path}')}"
        case "run":
            return f"{step.text} {' '.join(words)} # buildkit"
        case "list":
            return f"{step.text} {quote_list(words)}"


def apply_patch(base: ImageConfig, patch: ImagePatch) -> ImageConfig:
    """`base` with everything that the definition sets.

    Example:
        >>> apply_patch(scratch_config(Platform("linux", "amd64")), ImagePatch(user="app")).config.user
        'app'
    """
    config = base.config
    # `evolve` by name is what the patch asks for; its members have the types of the config's own.
    changes: dict[str, Any] = {name: attrs.fields_dict(ContainerConfig)[name].default for name in patch.cleared}
    config = attrs.evolve(config, **changes)
    changes = {
        "env": _merge_env(_with_path(config.env, base.platform), patch.env),
        "labels": tuple(sorted({**dict(config.labels), **dict(patch.labels)}.items())),
        "exposed_ports": _union(config.exposed_ports, patch.exposed_ports),
        "volumes": _union(config.volumes, patch.volumes),
    }
    for name in ("working_dir", "user", "shell", "entrypoint", "cmd", "stop_signal", "healthcheck"):
        value = getattr(patch, name)
        if value is not None:
            changes[name] = value
    changes |= {name: (*shell_of(base), *changes[name]) for name in patch.by_shell}
    changes["args_escaped"] = config.args_escaped or patch.args_escaped
    changes["on_build"] = patch.on_build if patch.base is None else (*config.on_build, *patch.on_build)
    if patch.working_dir is not None and not patch.working_dir.startswith("/"):
        changes["working_dir"] = clean(f"{config.working_dir or '/'}/{patch.working_dir}")
    if base.platform.os == "windows" and "working_dir" in changes:
        changes["working_dir"] = changes["working_dir"].replace("/", "\\")
    return attrs.evolve(
        base,
        author=base.author if patch.author is None else patch.author,
        config=attrs.evolve(config, **changes),
        platform=base.platform if patch.platform is None else _said_for(base.platform, patch.platform),
        other=_with_exports(base, patch),
    )


def _said_for(own: Platform, asked: Platform) -> Platform:
    """The platform in the config of an image that was asked for, as BuildKit's Dockerfile frontend has it.

    Example:
        >>> str(_said_for(Platform("linux", "arm64"), Platform("linux", "amd64")))
        'linux/amd64'
    """
    same = (own.os, own.architecture) == (asked.os, asked.architecture)
    return normalize(
        Platform(
            asked.os,
            asked.architecture,
            asked.variant or (own.variant if same else ""),
            asked.os_version or (own.os_version if same else ""),
            asked.os_features or own.os_features,
        )
    )


def _with_exports(base: ImageConfig, patch: ImagePatch) -> tuple[tuple[str, str], ...]:
    """The further members of the config. Exports, as triggers, are those of the image alone, not of its base."""
    rest = tuple(pair for pair in base.other if pair[0] != EXPORTS)
    kept: list[str] = json.loads(dict(base.other).get(EXPORTS, "[]")) if patch.base is not None else []
    exports = [*kept, *patch.exports]
    return (*rest, (EXPORTS, json.dumps(exports))) if exports else rest


def _with_path(env: tuple[str, ...], platform: Platform) -> tuple[str, ...]:
    """BuildKit gives every image a PATH."""
    has_one = platform.os == "windows" or any(item.startswith("PATH=") for item in env)
    return env if has_one else (*env, f"PATH={DEFAULT_PATH}")


def _merge_env(base: tuple[str, ...], added: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Variables of the base keep their place and take the new value; new ones follow in order."""
    merged = variables(base)
    merged.update(added)
    return tuple(f"{name}={value}" for name, value in merged.items())


def _union(base: tuple[str, ...], added: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({*base, *added}))


def image_references(graph: Graph) -> tuple[str, ...]:
    """The references of all images from registries that a graph uses."""
    sources = [vertex.op for vertex in graph.vertices if isinstance(vertex.op, SourceOp)]
    return tuple(dict.fromkeys(op.reference for op in sources if op.scheme == "docker-image"))
