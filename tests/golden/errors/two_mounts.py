from pybuild import bind, cache, image, target


@target
def app():
    return (
        image("alpine")
        .run("make")
        .mount(bind("src", "/src"))  # 2:
        .mount(cache("/src"))  # E: two mounts at "/src": line 9 and line 10 # H: give one of them another target
    )
