from pybuild import State, image, merge, scratch, target


@target
def neighbours() -> State:
    """File ops in a row become one."""
    return image("debian:12").mkdir("/app").write("/app/a", "a").symlink("a", "/app/b").run("make")


@target
def seen_by_others() -> State:
    """A tree that something else uses, too, stays."""
    first = scratch().mkdir("/app")
    return merge(first.write("/app/a", "a"), first.write("/app/b", "b"))


@target
def owners() -> State:
    """An owner is looked up in the tree of the step before, which therefore stays; numbers need none."""
    users = image("debian:12").write("/etc/passwd", "app:x:1:1::/:/bin/sh")
    return users.write("/a", "a", owner="app").write("/b", "b", owner="1:1")


@target
def lower() -> State:
    """The result of a target is what other targets start from."""
    return scratch().mkdir("/lower")


@target
def upper() -> State:
    """It stays a step of its own."""
    return lower().mkdir("/upper").mkdir("/upper/most")
