from pybuild import State, bind, image, local, scratch, target


@target
def used_paths() -> State:
    """What copies and mounts name."""
    src = local(".")
    return image("golang:1.24").copy(src.path("/go.mod"), "/").run("make").mount(bind(src.path("/cmd"), "/cmd"))


@target
def everything() -> State:
    """All of it is used."""
    return scratch().copy(local("."), "/")


@target
def seen_afterwards() -> State:
    """The step changes a part, but who uses the tree afterwards sees all of it."""
    src = local(".")
    made = image("debian:12").run("make").mount(bind(src.path("/cmd"), "/cmd", readonly=False))
    return made.output("/cmd")


@target
def given_patterns() -> State:
    """The user has said already what shall be sent."""
    return scratch().copy(local(".", include=["*.py"]).path("/a.py"), "/a.py")
