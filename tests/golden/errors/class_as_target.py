from pybuild import target


@target  # E: target "App" is a class, not a function
class App:
    pass
