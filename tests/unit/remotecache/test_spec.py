"""What --cache-to and --cache-from take."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybuild.errors import DefinitionError
from pybuild.protocols import CacheSpec
from pybuild.remotecache.spec import parse_cache_specs


@pytest.mark.parametrize(
    ("text", "flag", "expected"),
    [
        ("type=registry,ref=a/b:c,mode=max", "--cache-to", ("registry", {"ref": "a/b:c", "mode": "max"})),
        ("user/app:cache", "--cache-from", ("registry", {"ref": "user/app:cache"})),
        ("user/app:cache", "--cache-to", ("registry", {"ref": "user/app:cache"})),
        ("type=inline", "--cache-to", ("inline", {})),
        ("inline", "--cache-to", ("inline", {})),
        ("type=local,dest=/c,tag=x", "--cache-to", ("local", {"dest": "/c", "tag": "x"})),
        ('type=local,"dest=/a,b"', "--cache-to", ("local", {"dest": "/a,b"})),
        ("type=gha,scope=main", "--cache-from", ("gha", {"scope": "main"})),
        ("TYPE=local,SRC=/c", "--cache-from", ("local", {"src": "/c"})),
    ],
)
def test_texts(text: str, flag: str, expected: tuple[str, dict[str, str]]) -> None:
    [spec] = parse_cache_specs([text], flag)
    assert (spec.type, dict(spec.attrs)) == expected


def test_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    [spec] = parse_cache_specs([CacheSpec(type="local", attrs=(("src", "cache"),))], "--cache-from")
    assert dict(spec.attrs) == {"src": str(tmp_path / "cache")}


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("", "--cache-to"),
        ("ref=x", "--cache-to"),
        ("type=", "--cache-to"),
        ("type=local,dest", "--cache-to"),
        ("type=local,src=x", "--cache-to"),
        ("type=local,dest=x", "--cache-from"),
        ("type=registry", "--cache-from"),
        ("type=registry,ref=Upper Case", "--cache-from"),
        ("type=registry,ref=x,mode=all", "--cache-to"),
        ("type=inline", "--cache-from"),
    ],
)
def test_what_is_wrong_is_refused(text: str, flag: str) -> None:
    with pytest.raises(DefinitionError):
        parse_cache_specs([text], flag)


def test_what_gives_access_is_not_shown() -> None:
    [spec] = parse_cache_specs(["type=gha,token=abc,scope=x"], "--cache-to")
    assert str(spec) == "type=gha,token=***,scope=x"
    assert dict(spec.attrs)["token"] == "abc"
