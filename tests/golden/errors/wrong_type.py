from pybuild import image, target


@target
def app():
    return (
        image("alpine")
        .run("make")
        .run(3)  # E: run(): command must be str or Sequence[str] or Document, got int
    )
