"""BuildKit from Python, without a Buildfile: a Dockerfile built by docker, with a secret and a local context."""

import sys
import tempfile
from pathlib import Path

from pybuild.engine.buildkit import Export, connect

context = Path(tempfile.mkdtemp())
(context / "Dockerfile").write_text(f"""
FROM {sys.argv[1]}
COPY greeting.txt /
RUN --mount=type=secret,id=token sha256sum < /run/secrets/token > /token.sha256
FROM scratch
COPY --from=0 /greeting.txt /token.sha256 /
""")
(context / "greeting.txt").write_text("hello\n")

with connect("docker://") as client:  # DOCKER_HOST, or the current docker context
    client.build(
        frontend="dockerfile.v0",
        local_dirs={"context": context, "dockerfile": context},
        secrets={"token": b"nobody may see this"},
        exports=[Export("local", dest=sys.argv[2])],
        progress=lambda status: print(*(vertex.name for vertex in status.vertexes), sep="\n"),
    )
