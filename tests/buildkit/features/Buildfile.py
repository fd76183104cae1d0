"""Every feature of the DSL that BuildKit has, one target each: engines must make the same of them."""

import os

from pybuild import State, bind, cache, diff, local, merge, oci_layout, scratch, secret, target, tmpfs

base = oci_layout(os.environ["PYBUILD_BASE"], "debian:bookworm")
tree = local("tree")


@target
def copies() -> State:
    return (
        scratch()
        .copy(tree, "/all/")
        .copy(tree.path("sub"), "/renamed")
        .copy(tree.path("sub/*"), "/wild/")
        .copy(tree.path("link"), "/followed")
        .copy(tree.path("link"), "/kept", follow_links=False)
        .copy(tree, "/only/", include=["**/*.md"])
        .copy(tree, "/without/", exclude=["sub"])
        .mkdir("/deep/er")
        .copy(tree.path("sub/tool"), "/deep/er/tool", mode=0o4711, owner="12:34")
    )


@target
def owners() -> State:
    return (
        base.copy(tree, "/games/", owner="games:games")
        .copy(tree.path("a.txt"), "/numeric", owner="1000")
        .mkdir("/made/by", owner="daemon:daemon", mode=0o711)
        .write("/made/file", "text", owner="games", mode=0o600)
    )


@target
def removals() -> State:
    return (
        base.remove("/etc/issue")
        .remove("/etc/never", missing_ok=True)
        .remove("/usr/share/doc/*", wildcard=True)
        .run("rm -rf /usr/share/man && mkdir /usr/share/man && echo new > /etc/issue.net")
        .symlink("/etc/issue.net", "/etc/issue")
    )


@target
def processes() -> State:
    return (
        base.env(COLOUR="blue")
        .workdir("/made/deep")
        .run("id > id && pwd > pwd && echo $COLOUR > colour")
        .user("games")
        .run("id -un > /tmp/user && touch /tmp/mine && chmod 4755 /tmp/mine", user="nobody")
        .user("root")
        .run("ls -A /sys/class/net > /net", network="none")
        .shell("/bin/bash", "-c")
        .run("shopt -s extglob; echo ${BASH_VERSION:+bash} > /shell; ln /shell /hard; mkfifo /pipe")
        .run("umask > /umask; grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status > /caps")
    )


@target
def mounts() -> State:
    made = base.run(
        "mkdir /out && cp /src/sub/tool /out/ && wc -c < /run/secrets/token > /out/size && "
        "echo $TOKEN | wc -c > /out/env && mount | grep -c ' /scratch ' > /out/tmpfs"
    ).mount(
        bind(tree, "/src"),
        cache("/var/cache/made"),
        tmpfs("/scratch", size="16m"),
        secret("token"),
        secret("token", env="TOKEN"),
    )
    written = base.run("echo changed > /src/a.txt && rm /src/link").mount(bind(tree, "/src", readonly=False))
    return scratch().copy(made.path("/out"), "/").copy(written.output("/src"), "/written/")


@target
def combinations() -> State:
    tools = base.run("mkdir -p /opt/tools && echo x > /opt/tools/x && rm /etc/issue")
    more = base.run("echo y > /etc/issue.net")
    return merge(base, diff(base, tools), diff(base, more), scratch().copy(tree, "/tree/"))


@target(default=True)
def config() -> State:
    return (
        base.entrypoint("/bin/app")
        .cmd("--help")
        .label(one="1", two="zwei")
        .expose(80, "53/udp")
        .volume("/data")
        .stop_signal("SIGINT")
        .healthcheck("curl localhost")
        .env(A="b")
        .workdir("w")
        .user("games")
        .write("/f", "x")
    )
