"""URLs are read and written as Go's net/url does; the expected texts are what it gives."""

import pytest

from pybuild.llb.weburl import download_name, parse_query, parse_web_url


@pytest.mark.parametrize(
    ("text", "base", "host", "path"),
    [
        ("HTTPS://Example.COM/a.git", "https://Example.COM/a.git", "Example.COM", "/a.git"),
        ("https://h/a b/%2F(x)", "https://h/a%20b//%28x%29", "h", "/a b//(x)"),
        ("https://h/(x)/%2F", "https://h/(x)/%2F", "h", "/(x)//"),
        ("https://h/é\udcff", "https://h/%C3%A9%FF", "h", "/é\udcff"),
        ("https://é.com", "https://%C3%A9.com", "é.com", ""),
        ("https://u:p%20x@h/", "https://u:p%20x@h/", "h", "/"),
        ("https://u!@h/", "https://u%21@h/", "h", "/"),
        ("https://h/a?", "https://h/a?", "h", "/a"),
        ("https://h/a?b#c", "https://h/a", "h", "/a"),
        ("https:///a", "https:///a", "", "/a"),
        ("https://h:/a", "https://h:/a", "h:", "/a"),
        ("ssh://a:b:22/c", "ssh://a:b:22/c", "a:b:22", "/c"),
        ("https://[fe80::1%25en0]:8/a", "https://[fe80::1%25en0]:8/a", "[fe80::1%en0]:8", "/a"),
        ("github.com/a b", "//github.com/a%20b", "", "github.com/a b"),
    ],
)
def test_parts(text: str, base: str, host: str, path: str) -> None:
    url = parse_web_url(text)
    assert (url.base, url.host, url.path) == (base, host, path)


@pytest.mark.parametrize(
    "text",
    [
        "https://a b/",
        "https://a\x7f/",
        "https://h/a\nb",
        "https://h`/",
        "https://h%41/",
        "https://h:x/",
        "https://a:b:22/",
        "https://[1.2.3.4]/",
        "https://[::1/",
        "https://h/%zz",
        "https://h/#%z",
        "https://u r@h/",
        "https:h",
        "a:b/c",
    ],
)
def test_what_is_no_url(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_web_url(text)


def test_malformed_parts_of_a_query_are_left_out_of_urls_only() -> None:
    assert parse_web_url("https://h/?a=b+c&x;y=1&%zz&&=v&k").query == (("a", "b c"), ("", "v"), ("k", ""))
    assert parse_query("a=%20&&b") == (("a", " "), ("b", ""))
    with pytest.raises(ValueError, match="malformed query"):
        parse_query("a;b")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://h/a/b%20c.tgz?x=/y", "b c.tgz"),
        ("https://h/a//", "a"),
        ("https://h/..", ".."),
        ("https://h/.", "__unnamed__"),
        ("https://h", "__unnamed__"),
        ("https://h\x1f/a", "__unnamed__"),
        ("https://h`/a", "__unnamed__"),
    ],
)
def test_names_of_downloads(url: str, name: str) -> None:
    assert download_name(url) == name
