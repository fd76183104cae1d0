import json

from pybuild.frontend.dockerfile.calls.outline import Outline, OutlineArg, OutlineNeed
from pybuild.frontend.dockerfile.lines import Lines


def outline(*, named: bool = True) -> Outline:
    return Outline(
        data=b"FROM a\n",
        name="app" if named else "",
        description="what it is" if named else "",
        args=(OutlineArg("VERSION", "1.2", "of the app", Lines(1, 1)), OutlineArg("A", "", "", Lines(2, 3))),
        secrets=(OutlineNeed("token", True, Lines(4, 4)), OutlineNeed("other", False, Lines(4, 4))),
        ssh=(OutlineNeed("default", False, Lines(5, 5)),),
    )


def test_the_tables() -> None:
    assert outline().text() == (
        "TARGET:      app\nDESCRIPTION: what it is\n"
        "\n"
        "BUILD ARG   VALUE   DESCRIPTION\nVERSION     1.2     of the app\nA                   \n"
        "\n"
        "SECRET   REQUIRED\ntoken    true\nother    \n"
        "\n"
        "SSH       REQUIRED\ndefault   \n"
        "\n"
    )
    assert outline(named=False).text().startswith("BUILD ARG")
    assert Outline(b"", "", "", (), (), ()).text() == ""


def test_json_leaves_out_what_is_empty() -> None:
    document = json.loads(outline(named=False).json())
    assert list(document) == ["args", "secrets", "ssh", "sources"]
    assert document["args"][1] == {
        "name": "A",
        "location": {
            "ranges": [{"start": {"line": 2}, "end": {"line": 2}}, {"start": {"line": 3}, "end": {"line": 3}}]
        },
    }
    assert document["secrets"][0]["required"] is True
    assert "required" not in document["secrets"][1]
