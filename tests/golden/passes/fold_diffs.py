from pybuild import State, diff, image, merge, scratch, target


@target
def laid_back() -> State:
    """A diff on what it was taken from."""
    base = image("debian:12")
    built = base.run("make").run("make install")
    return merge(base, diff(base, built), scratch().mkdir("/docs"))


@target
def nothing() -> State:
    """A tree and itself."""
    base = image("debian:12")
    return merge(scratch().mkdir("/a"), diff(base, base), scratch().mkdir("/b"))


@target
def elsewhere() -> State:
    """A diff on another tree is what diffs are for."""
    base = image("debian:12")
    return merge(image("alpine:3.20"), diff(base, base.run("make")))
