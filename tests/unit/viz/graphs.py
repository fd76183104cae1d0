"""Graphs to draw, made without files."""

from __future__ import annotations

from pybuild import bind, cache, image, scratch, secret, tmpfs
from pybuild.llb.vertex import Graph
from pybuild.protocols import StepResult, StepState


def chain(length: int) -> Graph:
    state = scratch().write("/start", "")
    for number in range(length - 1):
        state = state.run(f"step {number}")
    return state.graph()


def small() -> Graph:
    """Base, exec with mounts, copy: numbers 1, 2, 3, 4 for base, mounted files, exec, copy."""
    files = scratch().write("/tool", "x")
    built = (
        image("alpine:3.20")
        .run("make all")
        .mount(bind(files, "/tools"), cache("/root/.cache"), tmpfs("/tmp"), secret("key", "/key"))
        .mount(secret("token", env="TOKEN"))
    )
    return scratch().copy(built.path("/out"), "/app").graph()


def results(graph: Graph, **states: StepState) -> list[StepResult]:
    """Results by the number of the vertex: `v1="cached"`."""
    return [
        StepResult(
            digest=vertex.digest,
            name=vertex.name,
            state=states[f"v{number}"],
            started=0.0,
            duration=1.25,
            size=10,
            reason="because",
        )
        for number, vertex in enumerate(graph.vertices, 1)
        if f"v{number}" in states
    ]
