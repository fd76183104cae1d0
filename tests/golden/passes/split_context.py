from pybuild import State, bind, image, local, scratch, target


@target
def go() -> State:
    """Steps that use different paths."""
    src = local(".")
    modules = image("golang:1.24").workdir("/src").copy(src.path("/go.mod"), ".").run("go mod download")
    return modules.copy(src.path("/cmd"), "cmd").run("go build ./cmd/...").mount(bind(src.path("/assets"), "/assets"))


@target
def everything() -> State:
    """A step that uses all of it keeps it; one path is left for the other."""
    src = local(".")
    return scratch().copy(src, "/all").copy(src.path("/README.md"), "/README.md")


@target
def the_same() -> State:
    """One set of paths is one source: nothing to split."""
    src = local(".")
    return scratch().copy(src.path("/a"), "/a").copy(src.path("/a"), "/b")
