"""Acceptance rows through Dockerfiles: platform arguments (P), mounts (M), secrets (X) and result files (I)."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from tests.embedded.command import command, environment
from tests.embedded.conftest import mounts_below, unique
from tests.embedded.dockerfilerun import Run, project, run, steps
from tests.embedded.images import read_image
from tests.embedded.sshserver import make_key

pytestmark = pytest.mark.engine
__all__ = ["project", "run"]


# Platform arguments


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ("linux/arm/v7", "linux/arm/v7 linux arm [v7] amd64"),  # P1
        ("linux/arm64/v8", "linux/arm64 linux arm64 [] amd64"),  # P7
        ("linux/x86_64", "linux/amd64 linux amd64 [] amd64"),
    ],
)
def test_p1_p7_what_a_stage_that_declares_them_sees(run: Run, asked: str, seen: str) -> None:
    stage = "FROM --platform=$BUILDPLATFORM base\nARG TARGETPLATFORM TARGETOS TARGETARCH TARGETVARIANT BUILDARCH\n"
    shown = 'RUN echo "$TARGETPLATFORM $TARGETOS $TARGETARCH [$TARGETVARIANT] $BUILDARCH"'
    built = run(f"{stage}{shown} # {unique()}\n", "--platform", asked)
    assert built.code == 0, built.text
    assert built.printed == (seen,)


def test_p2_undeclared_is_empty(run: Run) -> None:
    assert run(f'FROM base\nRUN echo "[$TARGETARCH]" # {unique()}\n').printed == ("[]",)


def test_p3_only_the_stage_of_the_platform_is_built(run: Run) -> None:
    text = (
        f"FROM base AS build_amd64\nRUN echo amd # {unique()}\n"
        f"FROM base AS build_arm64\nRUN exit 9\nFROM build_${{TARGETARCH}}\nRUN true # {unique()}\n"
    )
    built = run(text)
    assert (built.code, built.printed) == (0, ("amd",)), built.text


@pytest.mark.parametrize(
    ("declared", "runs"),
    [("", ["built for []"]), ("ARG TARGETARCH\n", ["built for [amd64]", "built for [arm64]"])],
    ids=["p4_once", "p5_for_each"],
)
def test_p4_p5_a_builder_on_the_build_platform(run: Run, tmp_path: Path, declared: str, runs: list[str]) -> None:
    text = (
        f"FROM --platform=$BUILDPLATFORM base AS builder\n{declared}"
        f'RUN echo "built for [$TARGETARCH]" | tee /made # {unique()}\n'
        "FROM scratch\nARG TARGETARCH\nCOPY --from=builder /made /made-$TARGETARCH\n"
    )
    built = run(text, "--platform", "linux/amd64,linux/arm64", "-o", tmp_path / "out")
    assert built.code == 0, built.text
    assert sorted(built.printed) == runs
    found = {str(path.relative_to(tmp_path / "out")): path.read_text() for path in (tmp_path / "out").rglob("made*")}
    first, last = runs[0], runs[-1]
    assert found == {
        "linux_amd64/made-amd64": f"{first}\n",
        "linux_arm64/made-arm64": f"{last}\n",
    }


def test_p6_a_default_goes_before_the_automatic_value(run: Run) -> None:
    text = f"FROM base\nARG TARGETARCH=foo\nRUN echo $TARGETARCH # {unique()}\n"
    assert run(text).printed == ("foo",)
    assert run(text, "--build-arg", "TARGETARCH=bar").printed == ("bar",)


# Mounts


def test_m1_the_context_is_mounted_read_only(run: Run, project: Path) -> None:
    built = run(
        "FROM base\nRUN --mount=target=/context cat /context/file; touch /context/new 2>&1 || true\n"
        "RUN test ! -e /context\n"
    )
    assert built.code == 0, built.text
    assert built.printed[0].startswith((project / "file").read_text())
    assert "Read-only file system" in " ".join(built.printed)


def test_m2_writes_are_thrown_away(run: Run) -> None:
    mount = "--mount=from=made,source=/data,target=/mnt"
    text = (
        f"FROM base AS made\nRUN mkdir /data && echo {unique()} > /data/old\nFROM base\n"
        f"RUN {mount},rw touch /mnt/new && test -e /mnt/old\nRUN {mount} test ! -e /mnt/new && test -e /mnt/old\n"
    )
    built = run(text)
    assert built.code == 0, built.text


def test_m3_equal_bytes_keep_the_step_cached(run: Run) -> None:
    token = unique()
    text = (
        f"FROM base AS made\nRUN echo {token} > /out\nFROM base\nRUN --mount=from=made,source=/out,target=/in cat /in\n"
    )
    assert len(steps(run(text), "cat /in")) == 1
    again = run(text.replace("RUN echo", "RUN true; echo"))
    assert len(steps(again, "true; echo")) == 1
    assert steps(again, "cat /in") == []


def test_m4_a_directory_and_a_file_of_the_context_both_count(run: Run, project: Path) -> None:
    text = "FROM base\nRUN --mount=source=file,target=/f --mount=source=dir,target=/d cat /d/inner /f\n"
    run(text)
    (project / "dir" / "inner").write_text("changed ")
    built = run(text)
    assert built.printed[0].startswith("changed "), built.text
    assert steps(run(text), "cat /d/inner") == []


def test_m5_the_default_id_is_the_target(run: Run) -> None:
    one, two = f"/{unique()}", f"/{unique()}"
    text = (
        f"FROM base\nRUN --mount=type=cache,target={one} echo kept > {one}/f\n"
        f"RUN --mount=type=cache,target={one} cat {one}/f\nRUN --mount=type=cache,target={two} test ! -e {two}/f\n"
    )
    built = run(text)
    assert (built.code, built.printed) == (0, ("kept",)), built.text


# Each of two parallel stages `N` says in /sync that it is there, and waits for the other one, `O`.
_MEET = "touch /sync/$N && for i in $(seq 300); do test -e /sync/$O && break; sleep 0.1; done; test -e /sync/$O"


@pytest.mark.parametrize(
    ("sharing", "command"),
    [
        ("shared", f"touch /c/$N && {_MEET} && test -e /c/$O"),
        ("private", f"touch /c/$N && {_MEET} && test ! -e /c/$O"),
        ("locked", "mkdir /c/busy && sleep 0.3 && rmdir /c/busy"),
    ],
)
def test_m6_sharing(run: Run, sharing: str, command: str) -> None:
    mounts = (
        f"--mount=type=cache,id={unique()},target=/c,sharing={sharing} --mount=type=cache,id={unique()},target=/sync"
    )
    text = "".join(
        f"FROM base AS {name}\nENV N={name} O={other}\nRUN {mounts} {command} && touch /{name}\n"
        for name, other in (("a", "b"), ("b", "a"))
    )
    built = run(f"{text}FROM base\nCOPY --from=a /a /\nCOPY --from=b /b /\n")
    assert built.code == 0, built.text


def test_m7_owner_and_mode_of_a_new_cache(run: Run) -> None:
    name = unique()
    text = (
        f"FROM base\nRUN --mount=type=cache,id={name},target=/c,uid=1001,gid=1002,mode=0751 "
        f"stat -c '%u %g 0%a' /c && touch /c/f\nRUN --mount=type=cache,id={name},target=/c test ! -e /c/f\n"
    )
    built = run(text)
    assert (built.code, built.printed) == (0, ("1001 1002 0751",)), built.text


def test_m8_owner_and_mode_of_a_secret(run: Run, project: Path) -> None:
    (project / "s").write_text("value")
    text = (
        "FROM base\nRUN --mount=type=secret,id=mysecret,mode=741,uid=100,gid=102,target=/mysecret "
        f"stat -c '%u %g 0%a' /mysecret # {unique()}\nRUN test ! -e /mysecret\n"
    )
    built = run(text, "--secret", "id=mysecret,src=s")
    assert (built.code, built.printed) == (0, ("100 102 0741",)), built.text


def test_m9_x5_a_secret_that_is_not_given(run: Run) -> None:
    optional = f'FROM base\nRUN --mount=type=secret,id=mysecret,env=S echo "[$S] ${{S+set}}" # {unique()}\n'
    assert run(optional).printed == ("[] set",)
    built = run(f"FROM base\nRUN --mount=type=secret,id=mysecret,required=true echo ran # {unique()}\n")
    assert built.code != 0
    assert "secret mysecret: not found" in built.text
    assert "Dockerfile:2" in built.text
    assert built.printed == ()


def test_m10_x4_the_value_is_in_no_key_the_id_and_owner_are(run: Run) -> None:
    text = f"FROM base\nRUN --mount=type=secret,id=one,target=/s wc -c /s # {unique()}\n"
    given = ("--secret", "id=one,env=VALUE", "--secret", "id=two,env=VALUE")
    assert len(steps(run(text, *given, env={"VALUE": "a"}), "wc -c")) == 1
    assert steps(run(text, *given, env={"VALUE": "b"}), "wc -c") == []
    assert len(steps(run(text.replace("id=one", "id=two"), *given, env={"VALUE": "b"}), "wc -c")) == 1
    assert len(steps(run(text.replace("/s wc", "/s,uid=5 wc"), *given, env={"VALUE": "b"}), "wc -c")) == 1


# Secrets


def test_x1_x7_the_value_is_nowhere(run: Run, warm_root: Path, project: Path) -> None:
    value = f"value-{unique()}"
    (project.parent / "s").write_text(value)
    wanted = hashlib.sha256(value.encode()).hexdigest()
    text = f"FROM base\nRUN --mount=type=secret,id=k sha256sum /run/secrets/k | grep {wanted}\n"
    outputs = ("-o", "type=oci,dest=../i.tar", "--metadata-file", "../meta")
    built = run(text, *outputs, "--secret", "id=k,src=../s")
    assert built.code == 0, built.text
    image = read_image(project.parent / "i.tar")
    assert "run/secrets" not in "".join(name for layer in image.layers[-1:] for name in layer)
    assert value not in json.dumps(image.config) + built.text + (project.parent / "meta").read_text()
    found = subprocess.run(
        ["grep", "--recursive", "--files-with-matches", "--fixed-strings", "--text", value, warm_root],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == ""


@pytest.mark.parametrize(("target", "file"), [("", "/run/secrets/token"), (",target=/token", "/token")])
def test_x2_x3_a_secret_as_variable_and_as_file(run: Run, project: Path, target: str, file: str) -> None:
    there = f"test -e {file}" if target else f"test ! -e {file}"
    text = (
        f'FROM base\nRUN --mount=type=secret,id=token,env=TOKEN{target} test "$TOKEN" = abc && {there} # {unique()}\n'
        'RUN test -z "$TOKEN"\n'
    )
    built = run(text, "--secret", "id=token,env=OWN", "-o", "type=oci,dest=../i.tar", env={"OWN": "abc"})
    assert built.code == 0, built.text
    assert "TOKEN" not in json.dumps(read_image(project.parent / "i.tar").config["config"])


def test_x6_too_big(run: Run, project: Path) -> None:
    (project / "s").write_bytes(b"x" * 512_001)
    built = run(f"FROM base\nRUN --mount=type=secret,id=large echo ran # {unique()}\n", "--secret", "id=large,src=s")
    assert built.code != 0
    assert "secret large too big" in built.text
    assert built.printed == ()


def test_x8_a_killed_build_leaves_no_value(base_layout: Path, project: Path) -> None:
    value, root = f"value-{unique()}", project.parent / "store"
    (project.parent / "s").write_text(value)
    (project / "Dockerfile").write_text(
        "FROM base\nRUN --mount=type=secret,id=k --mount=type=cache,target=/c touch /c/up; sleep 100\n"
    )
    context = f"base=oci-layout://{base_layout}:bookworm"
    line = command(root, "build", "--build-context", context, "--secret", "id=k,src=../s", ".")
    with subprocess.Popen(line, cwd=project, env=environment(), stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not list(root.glob("cache-mounts/*/*/tree/up")):
            assert time.monotonic() < deadline, "the step never started"
            assert process.poll() is None
            time.sleep(0.1)
        process.kill()
    assert value not in "".join(path.read_bytes().decode("latin-1") for path in root.rglob("*") if path.is_file())
    assert mounts_below(root) == []


def test_an_agent_in_a_step(run: Run, project: Path) -> None:
    key = make_key(project.parent / "key")
    text = f"FROM base\nRUN --mount=type=ssh,id=ci test -S $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK # {unique()}\n"
    built = run(f"{text}RUN test ! -e /run/buildkit\n", "--ssh", f"ci={key}")
    assert (built.code, built.printed) == (0, ("/run/buildkit/ssh_agent.0",)), built.text
    refused = run(text.replace("id=ci", "id=other,required"), "--ssh", f"ci={key}")
    assert refused.code != 0
    assert "unset ssh forward key other" in refused.text


# Result files


def test_i1_i6_the_id_of_the_last_stage_only(run: Run, project: Path) -> None:
    text = "FROM base AS first\nRUN echo one > /one\nFROM base\nCOPY --from=first /one /two\n"
    given = ("-o", "type=oci,dest=../i.tar", "--iidfile", "../iid", "--metadata-file", "../meta")
    ids: list[str] = []
    for _ in range(2):
        built = run(text, *given, "--build-arg", "SOURCE_DATE_EPOCH=1600000000")
        assert built.code == 0, built.text
        ids.append((project.parent / "iid").read_text())
    facts = json.loads((project.parent / "meta").read_text())
    assert len(ids[0]) == 71
    assert ids == [facts["containerimage.config.digest"]] * 2


def test_i2_a_failed_build_leaves_no_id(run: Run, project: Path) -> None:
    (project.parent / "iid").write_text("stale")
    assert run("FROM base\nRUN exit 3\n", "-o", "type=oci,dest=../i.tar", "--iidfile", "../iid").code == 1
    assert not (project.parent / "iid").exists()


def test_i3_refused_before_anything_runs(run: Run, project: Path) -> None:
    text = f"FROM base\nRUN echo ran # {unique()}\n"
    for arguments, message in (
        (("-o", "out", "--iidfile", "../iid"), "local and tar exporters are incompatible with image ID file"),
        (("--iidfile", "../iid"), "the build has no image output"),
        (("-o", "type=cacheonly", "--iidfile", "../iid"), "the build has no image output"),
        (("--cgroup-parent", "mine"), "the embedded engine runs steps in control groups of its own"),
        (("--iidfile", "none/such"), 'the directory of "none/such" does not exist'),
    ):
        built = run(text, *arguments)
        assert built.code == 2, built.text
        assert message in built.text
        assert built.ran == ()
        assert not (project.parent / "iid").exists()


def test_i5_facts_that_cannot_be_written_fail_a_finished_build(run: Run, project: Path) -> None:
    built = run(f"FROM base\nRUN echo ran # {unique()}\n", "-o", "out", "--metadata-file", "none/such")
    assert (built.code, built.printed) == (1, ("ran",)), built.text
    assert '--metadata-file: cannot write "none/such": No such file or directory' in built.text
    assert (project / "out").is_dir()
    assert not (project / "none").exists()


def test_i4_several_platforms_have_the_id_of_their_index(run: Run, project: Path) -> None:
    given = ("-o", "type=oci,dest=../i.tar", "--iidfile", "../iid", "--metadata-file", "../meta")
    built = run("FROM scratch\nCOPY file /\n", "--platform", "linux/amd64,linux/arm64", *given)
    assert built.code == 0, built.text
    facts = json.loads((project.parent / "meta").read_text())
    assert (project.parent / "iid").read_text() == facts["containerimage.digest"]
    assert facts["containerimage.descriptor"]["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert facts["containerimage.descriptor"]["digest"] == facts["containerimage.digest"]
    assert "containerimage.config.digest" not in facts
    with tarfile.open(project.parent / "i.tar") as archive:
        assert f"blobs/{facts['containerimage.digest'].replace(':', '/')}" in archive.getnames()


def test_a_stage_in_place_of_an_image(run: Run) -> None:
    text = f"FROM base AS made\nRUN echo made # {unique()}\nENV A=1\nFROM elsewhere\nRUN echo $A # {unique()}\n"
    built = run(text, "--build-context", "elsewhere=target:made")
    assert (built.code, built.printed) == (0, ("made", "1")), built.text
    refused = run(text, "--build-context", "elsewhere=target:maid")
    assert refused.code == 3
    assert 'no stage before this one is called "maid" (did you mean made?)' in refused.text


# Flags that a step can see


def test_flags_from_inside_a_step(run: Run) -> None:
    text = f"FROM base\nRUN ulimit -Sn; ulimit -Hn; df -h /dev/shm | awk 'END {{print $2}}' # {unique()}\n"
    text += "RUN grep example /etc/hosts; ls /sys/class/net\n"
    given = ("--ulimit", "nofile=100:200", "--shm-size", "5m", "--add-host", "example:192.0.2.1", "--network", "none")
    built = run(text, *given)
    assert built.code == 0, built.text
    assert [" ".join(line.split()) for line in built.printed] == ["100", "200", "5.0M", "192.0.2.1 example", "lo"]
