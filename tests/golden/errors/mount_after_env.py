from pybuild import cache, image, target


@target
def app():
    return (
        image("alpine")
        .run("make")
        .env(A="1")  # 2:
        .mount(cache("/c"))  # E: mount() must directly follow run(); this state was made at line 9 # H: move .mount(...) right behind the .run(...) that it belongs to
    )
