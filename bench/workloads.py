"""What is built: folders with a Dockerfile and its context."""

from __future__ import annotations

import random
from pathlib import Path

CONTEXT_FOLDERS = 500
CONTEXT_FILES = 100  # in each folder
CONTEXT_BYTES = 4152  # of each file: 50,000 files have 198 MB
_CHANGED = "f250/7.bin"


def base_only(folder: Path, base: str) -> None:
    """The base image and a step that does nothing."""
    _dockerfile(folder, [f"FROM {base}", "RUN true"])


def four_steps(folder: Path, base: str) -> None:
    """Two steps that run, a copied file, a folder."""
    folder.mkdir(parents=True)
    (folder / "app.conf").write_text("verbose = true\n")
    _dockerfile(folder, [f"FROM {base}", "RUN echo 1 > /1", "COPY app.conf /etc/", "WORKDIR /srv", "RUN echo 2 > 2"])


def chain(folder: Path, base: str, steps: int = 50) -> None:
    """Steps after one another, each writing a file."""
    _dockerfile(folder, [f"FROM {base}", *(f"RUN echo {number} > /f{number}" for number in range(steps))])


def fan(folder: Path, base: str, steps: int = 64) -> None:
    """Steps that do not need one another, and an image with what each of them wrote."""
    lines: list[str] = []
    for number in range(steps):
        lines += [f"FROM {base} AS s{number}", f"RUN echo {number} > /out"]
    lines += [f"FROM {base}", *(f"COPY --from=s{number} /out /out{number}" for number in range(steps))]
    _dockerfile(folder, lines)


def context(folder: Path, base: str) -> None:
    """Many small files that are copied in one go, and a step after them. The files are the same at each call."""
    _dockerfile(folder, [f"FROM {base}", "COPY src /src", "RUN true"])
    numbers = random.Random(7)
    text = numbers.randbytes(CONTEXT_BYTES // 2)  # half of it can be compressed, as in most files
    for outer in range(CONTEXT_FOLDERS):
        below = folder / "src" / f"f{outer}"
        below.mkdir(parents=True)
        for inner in range(CONTEXT_FILES):
            own = numbers.randbytes(CONTEXT_BYTES - len(text))
            (below / f"{inner}.bin").write_bytes(text + own)


def change_one_file(folder: Path) -> None:
    """Another content for one file of `context`."""
    (folder / "src" / _CHANGED).write_bytes(random.randbytes(CONTEXT_BYTES))


def _dockerfile(folder: Path, lines: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Dockerfile").write_text("\n".join(lines) + "\n")
