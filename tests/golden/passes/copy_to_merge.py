from pybuild import State, image, scratch, target


@target
def independent() -> State:
    """Each copy starts from nothing; what stands on another stays on it."""
    built = image("golang:1.24").run("make")
    return (
        scratch()
        .copy(built.path("/out/app"), "/bin/app")
        .copy(built.path("/out/docs"), "/usr/share/docs")
        .copy(built.path("/out/tool"), "/bin/tool")
        .copy("extra", "/usr/share/docs/extra")
    )


@target
def on_an_image() -> State:
    """Nobody knows what /lib is in an image: a link perhaps."""
    return image("debian:12").copy("a", "/lib/a").copy("b", "/opt/b")


@target
def removal() -> State:
    """What removes depends on all before it."""
    return scratch().copy("a", "/a").copy("b", "/b").remove("/a/secret")


@target
def parents() -> State:
    """/srv would be created by both, but not alike."""
    return scratch().copy("a", "/srv/a", mode=0o700).copy("b", "/srv/b")
