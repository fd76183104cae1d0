from pybuild import State, image, local, scratch, target


def base() -> State:
    return image("debian:12").run("apt-get update")


@target
def twice() -> State:
    """One step, written by two calls."""
    return base().run("make").copy(base().path("/etc/os-release"), "/release")


@target
def different_directories_have_different_names() -> State:
    """Nothing is equal: each stays."""
    one, other = local(".", name="one"), local(".", name="other")
    return scratch().copy(one.path("/a"), "/a").copy(other.path("/a"), "/b")
