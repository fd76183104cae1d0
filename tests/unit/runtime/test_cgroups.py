"""Control groups of workers, on directories that stand for the kernel's."""

from pathlib import Path

from pybuild.runtime.cgroups import PARENT, remove_worker


def test_what_is_empty_goes_and_what_is_not_is_told(tmp_path: Path) -> None:
    for hierarchy in ("cpu", "memory"):
        for worker in ("1-a", "2-b"):
            (tmp_path / hierarchy / PARENT / worker / "step").mkdir(parents=True)
    occupied = tmp_path / "memory" / PARENT / "1-a" / "step" / "task"
    occupied.touch()
    assert not remove_worker("1-a", root=str(tmp_path))
    assert not (tmp_path / "cpu" / PARENT / "1-a").exists()
    assert occupied.exists()
    occupied.unlink()
    assert remove_worker("1-a", root=str(tmp_path))
    assert remove_worker("1-a", root=str(tmp_path))
    assert [path.name for path in (tmp_path / "memory" / PARENT).iterdir()] == ["2-b"]
