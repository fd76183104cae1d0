from pybuild import scratch, target


@target(default=True)
def app():
    return scratch()


@target(name="app")  # E: two targets are named "app" # H: give one of them @target(name="...")
def other():
    return scratch()


@target(default=True)  # E: "app" and "third" are both the default target
def third():
    return scratch()


@target  # E: target "fourth": parameter "args" must have a name of its own
def fourth(*args):
    return scratch()
