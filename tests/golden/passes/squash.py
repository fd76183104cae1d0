from pybuild import State, image, target


@target
def base() -> State:
    """Only the steps above the image, which keeps its layers."""
    return image("debian:12").run("apt-get update").run("apt-get install -y make")


@target(default=True)
def app() -> State:
    """All from the image to the result."""
    return base().run("make").remove("/src")
