"""Print what two builds left in a directory: the image, its size and layers, where things are, and the times.

python scripts/summary.py OUT
"""

import json
import sys
import tarfile
from pathlib import Path
from typing import Any


def times(build: dict[str, Any], title: str) -> None:
    """The time of every step of a build."""
    print(f"\n{title}: {build['duration']:.2f} s")
    for step in build["steps"]:
        time = "cached" if step["state"] == "cached" else f"{step['duration']:.2f} s"
        print(f"  {time:>8}  {' '.join(step['name'].split())[:100]}")


def main(out: Path) -> None:
    archive = out / "pybuild.oci.tar"
    with tarfile.open(archive) as tar:

        def blob(digest: str) -> dict[str, object]:
            file = tar.extractfile(f"blobs/{digest.replace(':', '/')}")
            assert file is not None
            return json.load(file)

        index = tar.extractfile("index.json")
        assert index is not None
        descriptor = json.load(index)["manifests"][0]
        manifest = blob(descriptor["digest"])
        config = blob(manifest["config"]["digest"])
    history = [entry for entry in config.get("history", []) if not entry.get("empty_layer")]
    total = sum(layer["size"] for layer in manifest["layers"])
    print(f"\nimage    {descriptor['digest']}")
    print(f"size     {total / 1e6:.1f} MB in {len(manifest['layers'])} layers")
    for layer, entry in zip(manifest["layers"], history, strict=False):
        print(f"  {layer['size'] / 1e6:8.2f} MB  {layer['digest'][7:19]}  {entry.get('created_by', '')[:90]}")
    times(json.loads((out / "first.json").read_text())["pybuild.build"], "first build")
    second = json.loads((out / "second.json").read_text())["pybuild.build"]
    cached = sum(step["state"] == "cached" for step in second["steps"])
    print(f"second build: {second['duration']:.2f} s, {cached} of {len(second['steps'])} steps cached\n")
    print(f"archive  {archive}  ({archive.stat().st_size / 1e6:.1f} MB)")
    print(f"graph    {out / 'graph.svg'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
