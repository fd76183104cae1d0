from pybuild import image, target


@target  # E: target "app" returned NoneType, not a State # H: end the function with `return ...`
def app():
    image("alpine").run("make")
