from pybuild import State, bind, cache, diff, image, merge, oci_layout, scratch, secret, ssh, target, tmpfs


@target
def base() -> State:
    return oci_layout("base", "debian:bookworm").run("apt-get update").mount(cache("/var/cache/apt", mode=0o700))


@target
def fetched() -> State:
    return (
        base()
        .run("git clone git@example.com:team/data /data")
        .mount(ssh(), secret("netrc", "/root/.netrc"), secret("token", env="TOKEN", required=False))
        .mount(tmpfs("/tmp", size="64m"))
    )


@target
def changed() -> State:
    return base().run("make -C /work").mount(bind("work", "/work", readonly=False)).output("/work")


@target(default=True)
def all() -> State:  # noqa: A001
    tools = diff(base(), base().run("apt-get install -y make"))
    return merge(base(), tools, scratch().copy(fetched().path("/data"), "/data"), changed())
