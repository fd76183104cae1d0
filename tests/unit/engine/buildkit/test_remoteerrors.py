"""What an engine's errors become."""

from __future__ import annotations

import pytest

pytest.importorskip("grpc", reason="the extra pybuild[buildkit] is not installed")

from pybuild.engine.buildkit.pb.status_pb2 import Status
from pybuild.engine.buildkit.remoteerrors import error_of_status
from pybuild.errors import RemoteError


def test_what_a_service_refused_is_told_without_the_code_of_the_call() -> None:
    error = error_of_status(
        Status(code=5, message='rpc error: code = NotFound desc = no access to "mine"'), "NOT_FOUND"
    )
    assert isinstance(error, RemoteError)
    assert (error.message, error.status) == ('no access to "mine"', "not_found")
