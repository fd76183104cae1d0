"""The base image of the demo and of the tests: a Debian tree as one layer."""

from pybuild import State, scratch, target


@target(default=True)
def debian() -> State:
    """Debian from its own packages."""
    return (
        scratch()
        .copy("rootfs.tar", "/", unpack=True)
        .env(PATH="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", DEBIAN_FRONTEND="noninteractive")
        .cmd("/bin/bash")
    )
