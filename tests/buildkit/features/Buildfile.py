"""Every feature of the DSL that BuildKit has, one target each: engines must make the same of them."""

import os

from pybuild import (
    State,
    bind,
    cache,
    diff,
    dockerfile,
    git,
    http,
    image,
    local,
    merge,
    oci_layout,
    scratch,
    secret,
    ssh,
    target,
    tmpfs,
)

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


@target
def more_copies() -> State:
    packed = base.run("tar -C /usr/share -czf /common.tgz --mtime=@1500000000 common-licenses base-files")
    return (
        scratch()
        .copy(packed.path("/common.tgz"), "/kept/")
        .copy(packed.path("/common.tgz"), "/unpacked/", unpack=True)
        .copy(base.path("/etc/default/useradd"), "/with/", parents=True)
        .copy(base.path("/etc"), "/etc/", include=["*.conf", "default"], exclude=["g*"])
        .copy(tree.path("sub"), "/numeric/", mode=0o750, owner="7:8")
        .copy(base.path("/bin"), "/bin", follow_links=False)
        .copy(base.path("/dev"), "/dev")
        .mkdir("/closed", mode=0o700)
        .mkdir("/closed/deep/er", owner="3:4", mode=0o710)
        .copy(scratch().mkdir("/empty"), "/")
        .copy(["tree/a.txt", "tree/sub/*.md"], "/several/")
        .write("/several/a.txt", b"\x00bytes\xff", mode=0o4755)
        .symlink("../nowhere", "/several/dangling")
        .remove("/kept/*", wildcard=True)
    )


@target
def overwriting() -> State:
    """What becomes of what was there: directories over files, files over links, links over directories."""
    first = base.run(
        "mkdir -p /d/dir /d/full /t && touch /d/file /d/full/x && ln -s file /d/link && ln -s full /d/dirlink2 "
        "&& ln /d/file /d/hard && mkdir -m 1777 /d/sticky && mkdir -m 2755 /d/setgid && touch -h -d @1000000000 /d/link"
    )
    second = first.run(
        "rmdir /d/dir && echo now > /d/dir && rm /d/link && mkdir /d/link && echo longer > /d/hard "
        "&& rm -r /d/full && mkdir /d/full && touch /d/full/y && chown 5:6 /d/sticky && chmod 0 /d/file && mv /t /u"
    )
    return (
        second.copy(tree.path("sub"), "/d/dirlink2")
        .copy(tree.path("a.txt"), "/d/link/b")
        .run("rm -rf /d/setgid /usr/games")
    )


@target
def attributes() -> State:
    """Extended attributes, file capabilities, devices and sparse files."""
    made = base.run(
        """perl -e 'sub set {
          my ($path, $name, $value) = @_;
          syscall(188, $path, $name, $value, length($value), 0) == 0 or die $!
        }
        open(F, ">", "/tool"); close(F); truncate("/tool", 5000000);
        set("/tool", "user.colour", "blue\\x00green");
        set("/tool", "security.capability", pack("V5", 0x02000001, 1 << 10, 0, 0, 0)); '
        mknod /null c 1 3; mknod /fifo p; chown 9:10 /fifo; mkdir /attributed"""
    )
    return made.copy(made.path("/tool"), "/copied").copy(made.path("/fifo"), "/pipes/")


@target
def limits() -> State:
    return (
        base.run("echo limited > /limited", memory="64m", cpus=0.5, timeout=60)
        .run(["/bin/sh", "-c", "echo $0 $* > /argv", "a b", "c"], env={"A": "1"}, workdir="/tmp", name="named")
        .run("echo $A:$PWD > /pwd", shell=["/bin/sh", "-xc"], env={"A": "1"}, workdir="deep")
        .run(["/bin/true"], shell=False)
        .run("cat /etc/hostname > /host; sed 1q /etc/hosts > /hosts")
        .run("ls /dev | grep -v ^otel > /devices; env | grep -Ev '^(OTEL_|TRACEPARENT)' | sort > /env")  # of tracing
        .run(
            "ulimit -a > /ulimits; cat /proc/1/comm > /init; "
            "stat -c '%a %u %g %F' /dev/shm /proc /sys /tmp /run > /modes"
        )
        .run("ls -d /proc/[0-9]* > /processes; ls -l /proc/self/fd > /dev/null")
    )


@target
def more_mounts() -> State:
    seeded = scratch().write("/seed", "x").mkdir("/d", owner="7:8")
    made = base.run(
        "mkdir /o && ls -ln /var/seeded > /dev/null && cat /var/seeded/seed > /o/seed && "
        "stat -c '%a %u %g' /var/owned /run/secrets/other /etc/key /etc/absent /s > /o/modes 2>&1; "
        "echo ${KEY-unset} ${MAYBE-unset} > /o/env; "
        "ls -A /usr/share/tree > /o/selected; touch /usr/share/tree/x 2> /o/readonly; "
        'test -S "$SSH_AUTH_SOCK" && echo agent > /o/agent; stat -c \'%a %u %g\' "$SSH_AUTH_SOCK" >> /o/agent; '
        "touch /b/new; rm /b/a.txt; true"
    ).mount(
        cache("/var/seeded", id="seeded-by-features", source=seeded, sharing="locked"),
        cache("/var/owned", id="owned-by-features", uid=5, gid=6, mode=0o750, sharing="private"),
        secret("token", target="/run/secrets/other", uid=3, gid=4, mode=0o440),
        secret("token", target="/etc/key"),
        secret("token", env="KEY"),
        secret("maybe", env="MAYBE", required=False),
        secret("absent", target="/etc/absent", required=False),
        bind(tree.path("sub"), "/usr/share/tree"),
        ssh(required=False),
        bind(tree, "/b", readonly=False),
        tmpfs("/s"),
    )
    return (
        scratch()
        .copy(made.path("/o"), "/o")
        .copy(made.output("/b"), "/b")
        .copy(made.path("/usr/share"), "/mountpoints", include=["tree"])
        .copy(made.path("/etc"), "/etc", include=["key", "absent"])
    )


@target
def more_config() -> State:
    return (
        base.shell("/bin/bash", "-o", "pipefail", "-c")
        .env({"PATH": "/x:/usr/bin:/bin", "EMPTY": ""})
        .env(SECOND="$FIRST")
        .workdir("/a")
        .workdir("b")
        .workdir("../c")
        .user("1000:1001")
        .label({"b": "2", "a.b/c": "ü"})
        .label(b="3")
        .expose("8000-8002", 80)
        .volume("/one", "/two")
        .entrypoint("first")
        .cmd("kept")
        .entrypoint("second")
        .healthcheck(["curl", "-f", "localhost"], interval=5, timeout=2.5, retries=4)
        .stop_signal(9)
        .run("pwd > /tmp/pwd; id -u > /tmp/id")
    )


@target
def nested_merges() -> State:
    """Merges of merges, differences that delete, differences of what has no common base, and copies out of them."""
    one = base.run("echo 1 > /one && rm -rf /usr/share/doc && ln /one /linked && mkdir -m 700 /private")
    two = base.run("echo 2 > /two && rm /etc/issue && chmod 700 /srv")
    both = merge(base, diff(base, one), diff(base, two))
    # BuildKit takes files of one size that were written in one tick of the kernel's clock for equal.
    other = diff(scratch().write("/x", "1").mkdir("/gone/deep"), scratch().write("/x", "22"))
    again = merge(both, scratch().copy(tree, "/tree/"), other, diff(one, both))
    return merge(
        again.run("ls -R /tree > /listing; test ! -e /etc/issue"), scratch().copy(both.path("/linked"), "/end")
    )


@target
def bare_difference() -> State:
    """What one step changed, and nothing below it: added, changed and removed."""
    changed = base.run(
        "mkdir -p /made/deep && echo x > /made/deep/x && rm -r /etc/default /etc/issue && chmod 700 /srv"
    )
    return diff(base, changed)


@target
def difference_of_files() -> State:
    return diff(scratch().write("/same", "x"), scratch().write("/same", "x").write("/more", "y").mkdir("/d"))


@target
def merged_alone() -> State:
    """Later ones win, also with a file where a directory was, and the other way round."""
    return merge(
        scratch().write("/a", "1").mkdir("/b/c").write("/b/c/d", "1"),
        scratch().write("/b", "now a file").mkdir("/a").write("/a/in", "2"),
        base.remove("/etc/issue"),
    )


@target
def links() -> State:
    """Copies that do not look at what is below them, and ADD with what it unpacks."""
    packed = base.run("tar -C /usr/share -czf /common.tgz --mtime=@1500000000 common-licenses")
    return (
        base.copy(tree, "/linked/", link=True, owner="11:12")
        .copy(packed.path("/common.tgz"), "/kept/", link=True)
        .add(tree.path("sub"), "/added/", owner="games", mode=0o750, exclude=["*.md"])
        .add(packed.path("/common.tgz"), "/unpacked/", unpack=True)
        .add(tree.path("a.txt"), "/added/b.txt", link=True, unpack=False)
    )


@target
def selections() -> State:
    """Parts of a directory, an ignore file of another name, and one with a name and a key of its own."""
    return (
        scratch()
        .copy(local("tree", include=["sub/**", "a.txt"]), "/included/")
        .copy(local("tree", exclude=["sub"]), "/excluded/")
        .copy(local("tree", follow=["a.txt"]), "/followed/")
        .copy(local("tree", ignore_file="tree.ignore"), "/ignored/")
        .copy(local("tree", name="named", shared_key="mine"), "/named/")
        .copy(local("tree", split=True), "/split/")
        .copy(["tree/a.txt"], "/plain/")
    )


@target
def told_what_to_do() -> State:
    """What says something of the steps, or of the image, and is no file."""
    return (
        base.arg(VERSION="1", UNSET=None)
        .run('echo "$VERSION ${UNSET-unset}" > /version')
        .workdir("/made/by/workdir", create=True)
        .author("somebody")
        .onbuild("RUN true", "COPY . /src")
        .export("CMD a-stage")
        .pipe(lambda state: state.label(piped="yes"))
        .run("echo keyed > /keyed", use_cache=True, name="a name of its own")
        .key(extra=3)
        .run("echo lives > /lives")
        .ttl("1d")
        .mkdir("/quiet", parents=False)
        .without_history()
        .entrypoint("exec app", shell=True)
        .cmd("app --help", shell=True)
        .healthcheck("true", interval="5s", timeout=3, start_period="1m", start_interval=2, retries=3)
        .named("the last one")
    )


@target
def configured_anew() -> State:
    """An image config in place of what was set and inherited."""
    return (
        base.env(GONE="1")
        .workdir("/gone")
        .image_config({"config": {"Env": ["A=b"], "WorkingDir": "/srv", "User": "1:1", "Cmd": ["x"]}})
        .run('echo "$A ${GONE-gone} $PWD $(id -u)" > /tmp/o')
    )


@target
def remounted() -> State:
    """The same mounts in forms that are used less."""
    made = base.run(
        "cat /bound > /o1; ls -A /cached > /o2; touch /cached/x 2> /dev/null || echo readonly >> /o2; "
        "touch /tmpfs/x 2> /dev/null || echo readonly > /o3; cp /whole/a.txt /o4; echo changed > /private/f",
        mounts=[
            bind("tree/a.txt", "/bound"),
            bind(tree, "/whole"),
            bind(tree, "/private", readonly=False, keep=False),
            cache("/cached", id="read-by-features", source=scratch().write("/f", "x"), readonly=True),
            tmpfs("/tmpfs", readonly=True),
            ssh("other", target="/agent", uid=3, gid=4, mode=0o660, required=False),
        ],
        user="0:0",
    )
    return scratch().copy(made, "/", include=["o*"])


@target
def of_another_platform() -> State:
    """Files of an image for a machine that this one is not: nothing of it runs."""
    layout = oci_layout(os.environ["PYBUILD_BASE"], "debian:bookworm", platform="linux/amd64", name="base")
    return scratch().copy(layout.path("/etc/debian_version"), "/version").env(FROM="elsewhere")


@target
def remotes() -> State:
    """Sources that are fetched."""
    site, repository = os.environ["SITE"], os.environ["REPOSITORY"]
    return (
        image(os.environ["IMAGE"])
        .copy(http(f"{site}/file.txt", filename="renamed", mode=0o640, uid=7, gid=8), "/http/")
        .copy(http(f"{site}/tree.tgz"), "/archive/", unpack=True)
        .copy(git(repository, "v1"), "/git/")
        .copy(git(repository, "main", subdir="docs"), "/docs/")
        .add(f"{site}/file.txt", "/added/", checksum=os.environ["SHA256"], mode=0o600)
        .add(f"{repository}#v1", "/cloned/", keep_git_dir=False)
        .copy(http(f"{site}/file.txt", checksum=os.environ["SHA256"]), "/checked/")
        .copy(git(repository, "main", keep_git_dir=True).path("/.git/HEAD"), "/head")
        .run("cat /http/renamed /git/README > /both")
    )


@target
def newest_remotes() -> State:
    """What only newer BuildKits can say of a source."""
    site, repository, commit = os.environ["SITE"], os.environ["REPOSITORY"], os.environ["COMMIT"]
    return (
        scratch()
        .copy(git(repository, "main", submodules=False, mtime="commit"), "/dated/")
        .copy(http(f"{site}/file.txt", headers={"Accept": "text/plain"}), "/accepted/")
        .add(f"{repository}#v1", "/cloned/", keep_git_dir=True, checksum=commit, exclude=[".git"])
        .copy(git(repository, commit, checksum=commit, fetch_by_commit=True), "/commit/")
    )


@target
def privileged() -> State:
    return base.run(
        "grep CapEff /proc/self/status > /caps; mount -t tmpfs none /mnt && touch /mnt/x", security="insecure"
    ).run("ls -A /sys/class/net | grep -c lo > /net", network="host")


@target
def from_dockerfile() -> State:
    made = dockerfile("tree.Dockerfile", contexts={"debian": base.env(LANG="C.UTF-8")}, args={"NAME": "x"})
    return made.run("cat /greeting > /again").label(after="it")


@target
def newest() -> State:
    """What only newer BuildKits have: symbolic modes, and exit codes that are no failure."""
    return base.copy(tree, "/symbolic/", mode="u=rwX,go=rX").run("touch /made; exit 3", valid_exit_codes=[0, 3])
