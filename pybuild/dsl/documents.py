"""Small files whose content stands in the definition: what a heredoc is in a Dockerfile."""

from __future__ import annotations

import attrs

from pybuild._boundary import public
from pybuild.dsl import context
from pybuild.dsl.paths import checked, rooted
from pybuild.llb import construct
from pybuild.llb.files import MkfileAction
from pybuild.llb.vertex import Edge
from pybuild.location import Location, capture
from pybuild.shown import Shown


@attrs.frozen(repr=False)
class Document(Shown):
    """A file that `copy` copies and `run` runs; made by `document`.

    Attributes:
        name: its name, which is also where it is in its own tree.
        text: its content.
    """

    name: str
    text: str
    location: Location = attrs.field(eq=False)

    @property
    def path(self) -> str:
        """Where it is in its own tree."""
        return rooted(self.name)

    def edge(self, mode: int = 0o644) -> Edge:
        """A tree with this file alone."""
        data = self.text.encode("utf-8", "surrogateescape")
        action = MkfileAction(path=self.path, data=data, mode=mode)
        metadata = context.metadata().named("[internal] preparing inline document")
        return Edge(construct.file(None, [(action, None)], metadata=metadata, locations=[self.location]))

    def __repr__(self) -> str:
        return f"<Document {self.name}>"


@public
def document(name: str, text: str) -> Document:
    r"""A file with its content, for `copy` and `run`.

    Args:
        name: what the file is called; `copy` into a directory keeps it.
        text: the content. To be run, it begins with `#!` and its interpreter.

    Example:
        >>> from pybuild import document, image
        >>> image("nginx").copy(document("app.conf", "server {}"), "/etc/nginx/conf.d/")
        <State copy /app.conf /etc/nginx/conf.d/>
        >>> image("python:3.12").run(document("hello", "#!/usr/bin/env python3\nprint('hello')"))
        <ExecState /dev/pipes/hello>
    """
    return Document(checked(name, "document(): name"), text, capture())
