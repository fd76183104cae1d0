"""Compile pybuild/engine/buildkit/pb/*.proto to Python next to them: `python scripts/protos.py` (needs grpcio-tools).

The messages are those of BuildKit, containerd, gRPC's health check and google.rpc.Status. They stand below the package
`pybuild`, so that they never collide with another library's classes for the same messages; nothing of that is on the
wire. The generated code refuses protobuf libraries older than the compiler's for no reason that concerns these plain
messages, so that check is left out: any protobuf that the project's dependencies allow works.
"""

from __future__ import annotations

import re
import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PB = ROOT / "pybuild/engine/buildkit/pb"
_CHECK_CALL = re.compile(r"^_runtime_version\.ValidateProtobufRuntimeVersion\(.*?^\)\n", re.MULTILINE | re.DOTALL)
_CHECK_IMPORT = re.compile(r"^from google\.protobuf import runtime_version as _runtime_version\n", re.MULTILINE)


def main() -> int:
    sources = sorted(PB.glob("*.proto"))
    well_known = files("grpc_tools") / "_proto"
    code = protoc.main(
        ["protoc", f"-I{ROOT}", f"-I{well_known}", f"--python_out={ROOT}", f"--pyi_out={ROOT}", *map(str, sources)]
    )
    for made in PB.glob("*_pb2.py"):
        text = made.read_text(encoding="utf-8")
        made.write_text(_CHECK_IMPORT.sub("", _CHECK_CALL.sub("", text)), encoding="utf-8")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
