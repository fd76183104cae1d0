from pybuild import bind, scratch, target


@target
def app():
    return (
        scratch()
        .run("make")  # 2:
        .mount(bind("src", "/src"))
        .output("/src")  # E: the read-only mount at "/src" keeps no changes # H: use bind(..., readonly=False)
    )
