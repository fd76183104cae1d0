from pybuild import image, target


@target
def app():
    return image("alpine").workdr("/src")  # E: a State has no "workdr"  # H: did you mean "workdir"?
