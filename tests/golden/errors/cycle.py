from pybuild import target


@target(default=True)
def one():
    return two().mkdir("/a")  # 2:


@target
def two():
    return one().mkdir("/b")  # E: target "one" depends on itself: one (<here>:6) -> two (<here>:11) -> one # H: move what both need into a third target
