import pytest

from pybuild.errors import InstructionError
from pybuild.frontend.dockerfile.instructions import RunMount
from pybuild.frontend.dockerfile.mounts import parse_mount, source_only


def expand(word: str) -> str:
    return word.replace("$T", "tmpfs").replace("$D", "/d")


@pytest.mark.parametrize(
    ("flag", "mount"),
    [
        ("target=/a", RunMount(target="/a")),
        ("source=a,dst=$D,rw", RunMount(source="a", target="/d", readonly=False)),
        ("rw,ro=false,readonly", RunMount()),
        ("TYPE=Cache,id=x,sharing=Locked,uid=1,gid=2,mode=0755",
         RunMount(type="cache", cache_id="x", sharing="locked", uid=1, gid=2, mode=0o755, readonly=False)),
        ("type=cache,ro", RunMount(type="cache")),
        ("type=$T,size=1g", RunMount(type="tmpfs", size=1 << 30, readonly=False)),
        ("type=secret,id=a,env=E,required", RunMount(type="secret", cache_id="a", env="E", required=True)),
        ("type=ssh,required=0", RunMount(type="ssh")),
        ("type=secret,src=a,target=b,env=", RunMount(type="secret", source="a", target="b", env="")),
        ('"source=a,b",from=s', RunMount(source="a,b", source_stage="s")),
    ],
)  # fmt: skip
def test_mounts(flag: str, mount: RunMount) -> None:
    assert parse_mount(flag, expand) == mount


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("target", "invalid field 'target' must be a key=value pair"),
        ("typ=tmpfs", "unexpected key 'typ' in 'typ=tmpfs' (did you mean type?)"),
        ("type=tmp", 'unsupported mount type "tmp" (did you mean tmpfs?)'),
        ("type=CAHCE", 'unsupported mount type "CAHCE"'),
        ("required,type=secret,id=x", "unexpected key 'required' for mount type 'bind'"),
        ("size=1,type=tmpfs", "unexpected key 'size' for mount type 'bind'"),
        ("type=tmpfs,size=x", "invalid value for size: x"),
        ("type=secret,id=a,required=maybe", "invalid value for required: maybe"),
        ("Readonly=x", "invalid value for readonly: x"),
        ("sharing=shared", "invalid cache sharing set for bind mount"),
        ("sharing=x", 'unsupported sharing value "x"'),
        ("type=secret,id=x,sharing=shared", "secret mount should not define sharing"),
        ("type=secret,id=x,from=y", "secret mount should not have a from"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=secret,id=x,source=y", "both source and id can't be set"),
        ("mode=9", "invalid value 9 for mode"),
        ("uid=-1", "invalid value -1 for uid"),
        ("type=tmpfs,gid=4294967296", "invalid value 4294967296 for gid"),
        ("type=tmpfs,gid=1,uid=1", 'uid not allowed for "tmpfs" type mounts'),
    ],
)
def test_wrong_mounts(flag: str, message: str) -> None:
    with pytest.raises(InstructionError) as caught:
        parse_mount(flag, expand)
    assert caught.value.message == message


def test_the_stage_is_known_before_variables_are() -> None:
    assert source_only("type=$X,nonsense=$Y,from=base,target").source_stage == "base"
    # A dollar sign at the very end is none of a variable.
    assert source_only("from=a$").source_stage == "a$"
