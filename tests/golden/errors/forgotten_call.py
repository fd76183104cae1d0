from pybuild import image, scratch, target


@target
def base():  # the target's own line is that of its decorator
    return image("alpine")


@target(default=True)
def app():
    return scratch().copy(base.path("/x"), "/x")  # E: "base" is a target, not a State # H: call it: base().path(...)
