"""Words of EXPOSE; the messages are BuildKit's own."""

import pytest

from pybuild.frontend.dockerfile.lower.ports import PortWord


@pytest.mark.parametrize(
    ("word", "ports"),
    [
        ("80", ["80/tcp"]),
        ("80-81/UDP", ["80/udp", "81/udp"]),
        ("1.2.3.4:80:90/sctp", ["90/sctp"]),
        ("[::1]:80:90", ["90/tcp"]),
        ("8000-8001:90", ["90/tcp"]),
        ("+1", ["1/tcp"]),
    ],
)
def test_ports(word: str, ports: list[str]) -> None:
    assert PortWord.parse(word).exposed() == ports


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("80/foo", 'invalid port: "80/foo": invalid proto: foo'),
        ("a\x01/", "invalid containerPort: a\x01"),
        ("\x01:", r'invalid port: "\x01:": no port specified'),
        ("[::1:80:90", "invalid IP address [::1: address [::1:: missing ']' in address"),
        ("[::1]:2:80:90", "invalid IP address [::1]:2: address [::1]:2:: too many colons in address"),
        ("[::1]x:80:90", "invalid IP address [::1]x: address [::1]x:: missing port in address"),
        ("[[::1]:80:90", "invalid IP address [[::1]: address [[::1]:: unexpected '[' in address"),
        ("fe80::1%e:80:90", "invalid IP address: fe80::1%e"),
        ("80-82:90-91", "invalid ranges specified for container and host Ports: 90-91 and 80-82"),
        ("x:80", "invalid hostPort: x"),
    ],
)
def test_words_that_are_refused(word: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the message is compared whole
        PortWord.parse(word).exposed()
    assert str(caught.value) == message
