from pybuild import State, image, merge, scratch, target


@target
def nested() -> State:
    """Merges that only merges use."""
    a, b, c, d = (scratch().mkdir(f"/{name}") for name in "abcd")
    return merge(merge(a, b), merge(c, merge(d, image("debian:12"))))


@target
def seen_by_others() -> State:
    """The inner merge is also copied from."""
    inner = merge(image("debian:12"), scratch().mkdir("/a"))
    return merge(inner, scratch().copy(inner.path("/a"), "/b"))
