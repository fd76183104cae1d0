from pybuild import image, secret, target


@target
def app():
    return (
        image("alpine")
        .run("make")
        .mount(secret("one", env="TOKEN"), secret("two", env="TOKEN"))  # E: two secrets are given as the variable "TOKEN"
    )
