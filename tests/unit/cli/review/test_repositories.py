"""Revisions as they are in real repositories: subdirectories, renames, submodules, links, large files, errors."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from pybuild.cli.review.compare import compare
from pybuild.cli.review.loading import Wish
from pybuild.cli.review.repository import GitError
from pybuild.errors import BuildfileError, PybuildError, TargetError
from pybuild.viz.diff import GraphDiff
from tests.unit.cli.review.repo import FILES, Repo

SMALL = 'from pybuild import scratch, target\n\n\n@target\ndef app():\n    return scratch().copy("data", "/data")\n'


def look(repo: Path, revisions: str, target: str | None = None) -> GraphDiff:
    return compare(revisions, str(repo), Wish(target=target, args={}, optimized=False))


def files(found: GraphDiff) -> list[str]:
    return [f"{file.status} {file.path}" for step in found.steps for file in step.files]


def state_of(repo: Repo) -> list[object]:
    """Everything below the repository that a comparison might touch (git notes when it last met an object)."""
    return sorted(
        (
            str(path.relative_to(repo.path)),
            0 if "objects" in path.parts else path.lstat().st_mtime_ns,
            path.lstat().st_size,
        )
        for path in repo.path.rglob("*")
    )


def test_nothing_in_the_repository_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = Repo(tmp_path / "repo", FILES | {"helper.py": "command = 'make'\n", ".gitignore": "*.log\n"})
    repo.write(repo.edit("pytest -q", "pytest") | {"new.txt": "x", "out.log": "x"})
    repo.write({"Buildfile.py": "import helper\n" + (repo.path / "Buildfile.py").read_text()})
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    before = state_of(repo)
    assert look(repo.path, "HEAD").counts["changed"] == 1
    assert state_of(repo) == before
    assert list((tmp_path / "temporary").glob("*/*")) == []  # the folder of a user stays


def test_new_files_count_and_ignored_ones_do_not(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", {"Buildfile.py": SMALL, "data/a": "1", ".gitignore": "*.log\n"})
    repo.write({"data/b": "2", "data/c.log": "3"})
    assert files(look(repo.path, "HEAD")) == ["added data/b"]


def test_staged_and_unstaged_changes_count(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", {"Buildfile.py": SMALL, "data/a": "1", "data/b": "1"})
    repo.write({"data/a": "2"})
    repo.git("add", "data/a")
    repo.write({"data/b": None})
    assert files(look(repo.path, "HEAD")) == ["modified data/a", "removed data/b"]


def test_buildfile_in_a_subdirectory_with_modules_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from steps import command\n\nfrom pybuild import image, local, target\n\n\n@target\ndef app():\n"
    text += '    return image("alpine").copy(local("../lib").path("x"), "/x").run(command())\n'
    steps = 'from inner import WHAT\n\n\ndef command():\n    return f"make {WHAT}"\n'
    repo = Repo(
        tmp_path / "repo",
        {"sub/Buildfile.py": text, "sub/steps.py": steps, "sub/inner.py": 'WHAT = "a"\n', "lib/x": "1", "lib/y": "1"},
    )
    repo.commit({"sub/inner.py": 'WHAT = "b"\n', "lib/x": "2", "lib/y": "2"})
    for place in (repo.path / "sub", repo.path / "sub/Buildfile.py"):
        found = look(place, "HEAD~1..HEAD")
        assert files(found) == ["modified x"]
        assert [change.after for step in found.steps for change in step.fields] == ["make b"]
    monkeypatch.chdir(repo.path / "sub")
    assert look(Path(), "HEAD~1..HEAD").counts["changed"] == 2


def test_buildfile_that_asks_git_and_reads_files(tmp_path: Path) -> None:
    text = (
        "import subprocess\nfrom pathlib import Path\n\nfrom pybuild import scratch, target\n\n\n"
        "def git(*words):\n    return subprocess.check_output(['git', *words], text=True).strip()\n\n\n"
        "@target\ndef app():\n    print('noise')\n"
        "    name = Path(__file__).with_name('name').read_text()\n"
        "    return scratch().write('/version', git('describe', '--tags')).write('/name', name)"
        ".write('/home', str(Path(__file__).parent)).write('/url', git('remote', 'get-url', 'origin'))\n"
    )
    repo = Repo(tmp_path / "repo", {"Buildfile.py": text, "name": "one"})
    repo.git("remote", "add", "origin", "https://example.com/team/app.git")
    repo.git("tag", "v1")
    repo.commit({"name": "two"})
    repo.git("tag", "v2")
    found = look(repo.path, "v1..v2")
    changes = [(change.before, change.after) for step in found.steps for change in step.fields]
    assert changes == [("v1", "v2"), ("one", "two")]
    dirty = look(repo.path, "v2")
    assert dirty.is_empty


def test_renamed_buildfile(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", {"old.py": SMALL, "data": "1"})
    repo.git("mv", "old.py", "new.py")
    repo.commit({})
    found = look(repo.path / "new.py", "HEAD~1..HEAD")
    assert found.is_empty
    assert found.notes == ("the Buildfile was renamed: old.py → new.py",)
    assert look(repo.path / "old.py", "HEAD~1..HEAD").is_empty


def test_directory_that_only_revisions_have(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", {"sub/Buildfile.py": SMALL, "sub/data": "1"})
    repo.commit({"sub/data": "2"})
    repo.commit({"sub/Buildfile.py": None, "sub/data": None, "other": ""})
    (repo.path / "sub").rmdir()
    assert files(look(repo.path / "sub", "HEAD~2..HEAD~1")) == ["modified data"]


def test_links_are_followed_as_a_copy_does(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", {"Buildfile.py": SMALL, "real/a": "1"})
    (repo.path / "data").symlink_to("real")
    repo.commit({})
    repo.commit({"real/a": "2"})
    (repo.path / "data").unlink()
    (repo.path / "data").symlink_to("nowhere")
    repo.commit({})
    assert not look(repo.path, "HEAD~1..HEAD").is_empty


def test_submodules(tmp_path: Path) -> None:
    library = Repo(tmp_path / "library", {"a": "1"})
    repo = Repo(tmp_path / "repo", {"Buildfile.py": SMALL})
    repo.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library.path), "data")
    repo.commit({})
    second = library.commit({"a": "2", "b": "1"})
    subprocess.run(["git", "pull", "-q"], cwd=repo.path / "data", check=True)
    assert files(look(repo.path, "HEAD")) == ["modified data", "modified data/a", "added data/b"]
    repo.commit({})
    assert files(look(repo.path, "HEAD~1..HEAD")) == ["modified data", "modified data/a", "added data/b"]
    assert second
    # A commit that is not here still shows that the submodule moved.
    third = library.commit({"a": "3"})
    repo.git("update-index", "--cacheinfo", f"160000,{third},data")
    repo.git("commit", "-q", "-m", "moved")
    assert "modified data" in files(look(repo.path, "HEAD~1..HEAD"))


def test_large_files_that_live_elsewhere_are_not_fetched(tmp_path: Path) -> None:
    def pointer(text: str) -> str:
        oid = hashlib.sha256(text.encode()).hexdigest()
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(text)}\n"

    repo = Repo(tmp_path / "repo", {"Buildfile.py": SMALL, "data": pointer("1"), "other": ""})
    repo.write({".gitattributes": "data filter=lfs\n"})
    repo.git("config", "filter.lfs.smudge", "false")
    repo.git("config", "filter.lfs.clean", "cat")
    repo.git("config", "filter.lfs.required", "true")
    repo.commit({})
    repo.commit({"data": pointer("2")})
    assert files(look(repo.path, "HEAD~1..HEAD")) == ["modified data"]


def test_line_ends_are_those_of_a_checkout(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", {"Buildfile.py": SMALL, "data": "1\n", ".gitattributes": "data eol=crlf\n"})
    repo.git("rm", "-q", "--cached", "data")
    (repo.path / "data").unlink()
    repo.git("checkout", "-q", "HEAD", "--", "data")
    assert (repo.path / "data").read_bytes() == b"1\r\n"
    assert look(repo.path, "HEAD").is_empty


def test_called_from_a_hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = Repo(tmp_path / "repo")
    repo.commit(repo.edit("pytest -q", "pytest"))
    monkeypatch.setenv("GIT_DIR", str(repo.path / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(repo.path / ".git/index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(repo.path))
    before = state_of(repo)
    assert look(repo.path, "HEAD~1..HEAD").counts["changed"] == 1
    assert look(repo.path, "HEAD").is_empty
    assert state_of(repo) == before


def test_linked_work_tree_and_bare_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = Repo(tmp_path / "repo")
    repo.commit(repo.edit("pytest -q", "pytest"))
    repo.git("worktree", "add", "-q", "--detach", str(tmp_path / "linked"), "HEAD~1")
    assert look(tmp_path / "linked", "main").counts["changed"] == 1
    subprocess.run(["git", "clone", "-q", "--bare", str(repo.path), str(tmp_path / "bare")], check=True)
    monkeypatch.chdir(tmp_path / "bare")
    assert look(Path(), "main~1..main").counts["changed"] == 1
    with pytest.raises(GitError, match="no work tree"):
        look(Path(), "main")


def test_targets_of_one_revision_only(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.commit(
        {"Buildfile.py": FILES["Buildfile.py"] + "\n\n@target\ndef extra() -> State:\n    return base.run('x')\n"}
    )
    found = look(repo.path, "HEAD~1..HEAD", "extra")
    assert found.counts == {"added": 2, "removed": 0, "changed": 0, "invalidated": 0, "unchanged": 0}
    assert found.notes[0].startswith('there is no target "extra" in HEAD~1 (')
    assert look(repo.path, "HEAD..HEAD~1", "extra").counts["removed"] == 2
    with pytest.raises(TargetError, match="neither in HEAD~1") as raised:
        look(repo.path, "HEAD~1..HEAD", "extras")
    assert "extra" in raised.value.hint


@pytest.mark.parametrize(
    ("broken", "message", "line"),
    [
        ("def (:\n", "invalid syntax", 1),
        ("x = 1\nraise ValueError('no')\n", "ValueError: no", 2),
        ("import nowhere\n", "No module named 'nowhere'", 1),
        ("from pybuild import scratch, target\n@target\ndef app():\n    return scratch().copy(1, '/')\n", "copy", 4),
    ],
)
def test_broken_revision(tmp_path: Path, broken: str, message: str, line: int) -> None:
    repo = Repo(tmp_path / "repo")
    good = repo.git("rev-parse", "HEAD")
    bad = repo.commit({"Buildfile.py": broken})
    with pytest.raises(PybuildError, match=message) as raised:
        look(repo.path, f"{good}..{bad}")
    assert raised.value.message.startswith(f"{bad[:10]}: ")
    place = raised.value.locations[0]
    assert str(place) == f"{bad[:10]}:Buildfile.py:{line}"
    assert [text for _, marked, text in place.snippet() if marked] == [broken.splitlines()[line - 1]]


def test_errors(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo", {"README.md": ""})
    repo.commit(FILES)
    with pytest.raises(BuildfileError, match=r"HEAD~1 \(\w{10}\): there is no Buildfile.py"):
        look(repo.path, "HEAD~1..HEAD")
    for wrong in (
        "nothing..HEAD",
        "HEAD..nothing",
        "nothing",
        "HEAD..--help",
        "nothing...HEAD",
        "HEAD:README.md..HEAD",
    ):
        with pytest.raises(GitError, match="there is no revision"):
            look(repo.path, wrong)
    with pytest.raises(GitError, match="not a git repository"):
        look(tmp_path, "HEAD")
    repo.git("checkout", "-q", "--orphan", "island")
    repo.commit({})
    with pytest.raises(GitError, match="no common ancestor"):
        look(repo.path, "main...island")


def test_exit_of_the_buildfile(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.commit({"Buildfile.py": "import os\nos._exit(3)\n"})
    with pytest.raises(BuildfileError, match=r"loading Buildfile.py ended with exit code 3"):
        look(repo.path, "HEAD~1..HEAD")


def test_shallow_clone(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.commit(repo.edit("pytest -q", "pytest"))
    subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{repo.path}", str(tmp_path / "shallow")], check=True)
    with pytest.raises(GitError) as raised:
        look(tmp_path / "shallow", "HEAD~1..HEAD")
    assert "fetch-depth: 0" in raised.value.hint
    assert look(tmp_path / "shallow", "HEAD").is_empty


def test_pythonpath_of_the_work_tree_is_that_of_the_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "from team import STEP\n\nfrom pybuild import image, target\n\n\n@target\n"
    text += "def app():\n    return image('a').run(STEP)\n"
    repo = Repo(tmp_path / "repo", {"Buildfile.py": text, "libs/team.py": "STEP = 'one'\n"})
    repo.commit({"libs/team.py": "STEP = 'two'\n"})
    monkeypatch.syspath_prepend(str(repo.path / "libs"))
    (change,) = (change for step in look(repo.path, "HEAD~1..HEAD").steps for change in step.fields)
    assert (change.before, change.after) == ("one", "two")
