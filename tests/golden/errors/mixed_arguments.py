from pybuild import image, target


@target
def app():
    return image("alpine").run(["make", 3])  # E: run(): command must be str or Sequence[str] or Document, got list[str or int]
