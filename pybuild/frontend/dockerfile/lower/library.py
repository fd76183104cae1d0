"""Where a build's INCLUDE reads from: beside its Dockerfile, from its context, or from a named one."""

from __future__ import annotations

from collections.abc import Mapping

from pybuild.errors import FrontendError
from pybuild.frontend.dockerfile.includes import Library
from pybuild.frontend.dockerfile.lower.contexts import LANGUAGE, Contexts
from pybuild.frontend.dockerfile.lower.namedcontext import find_context
from pybuild.frontend.dockerfile.lower.outputs import Output
from pybuild.location import SourceText

MAIN = "context"


def library_of(contexts: Contexts, args: Mapping[str, str]) -> Library:
    """The library of a build.

    Args:
        contexts: the build's.
        args: the arguments that are always there, for paths.
    """

    def read(path: str, context: str) -> SourceText:
        head = _source(contexts, path, context).build()
        data = None if head is None else contexts.host.tree(head).read(path)
        if head is None or data is None:
            where = {"": "beside the Dockerfile", MAIN: "in the build context"}.get(
                context, f"in the context {context}"
            )
            raise FrontendError(
                f'there is no file "{path}" {where}',
                hint="paths of INCLUDE start at the file they are in, of INCLUDE --from=context at the build context",
            )
        name = f"{context}:{path}" if context else path
        return SourceText(name, data, LANGUAGE, contexts.host.definition_of(head))

    return Library(read, contexts.filename, args, contexts.options.build_args)


def _source(contexts: Contexts, path: str, context: str) -> Output:
    if not context:
        return contexts.dockerfile_source([path])
    if context == MAIN:
        return contexts.main(lambda: [path])
    found = find_context(contexts, context, None, lambda: [path])
    if found is None:
        raise FrontendError(
            f"there is no build context {context}", hint=f"give it with --build-context {context}=PLACE"
        )
    output = found.load()[0].output
    if output is None:
        raise FrontendError(f"the build context {context} is empty")
    return output
