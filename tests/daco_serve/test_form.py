"""Forms are parsed as bytes: codecs named by the client have no effect, and no file name breaks the answer."""

import json

import httpx
import pytest

from .test_refusals import encoded, refused

CHARSETS = (
    "unicode_escape", "raw_unicode_escape", "utf-7", "utf-16", "utf-32", "idna", "punycode", "rot13", "hex", "base64",
    "zlib", "bz2", "undefined", "mbcs", "oem", "utf-8-sig", "cp037", "utf-999", "latin-1", "\\", "'", "", "a" * 1000,
)  # fmt: skip
NAMES = (
    b"\\ud800.jpg", b"+2AA-.jpg",
    b"\xed\xa0\x80.jpg", b"\xff\xfe", b"a\x00b", "é.jpg".encode(), "é.jpg".encode("latin-1"),
    b"\xf0\x9f\x93\xb7.jpg", b"\\N{BULLET}", b"\\x", b"%ED%A0%80", b"=?utf-8?b?2AA=?=", b"\xc0\x80", b"\\u0000", b"",
)  # fmt: skip


def form(name: bytes, content: bytes) -> bytes:
    disposition = b'Content-Disposition: form-data; name="image"; filename="' + name + b'"'
    return b"--x\r\n" + disposition + b"\r\n\r\n" + content + b"\r\n--x--\r\n"


@pytest.mark.parametrize("path", ["/v1/query", "/v1/query/batch"])
@pytest.mark.parametrize("charset", CHARSETS)
def test_no_charset_or_file_name_in_a_form_causes_a_5xx(client: httpx.Client, path: str, charset: str) -> None:
    kind = f"multipart/form-data; boundary=x; charset={charset}"
    for name in NAMES:
        answer = client.post(path, content=form(name, encoded("PNG")), headers={"Content-Type": kind})
        assert answer.status_code in (200, 400), (name, answer.text)
        if answer.status_code == 400:
            refused(answer, 400, "bad_form")
        json.loads(answer.content.decode("utf-8"))


def test_a_file_name_is_read_as_utf8_whatever_charset_is_given(client: httpx.Client) -> None:
    for charset in ("", "; charset=utf-7", "; charset=latin-1"):
        kind = {"Content-Type": f"multipart/form-data; boundary=x{charset}"}
        sent = form("é\\ud800.jpg".encode(), encoded("PNG"))
        answer = client.post("/v1/query/batch", content=sent, headers=kind).json()["answers"][0]
        assert answer["name"] == "é\\ud800.jpg" and answer["answer"]["matches"]


def test_a_truncated_form_contains_no_photograph(client: httpx.Client) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    whole = form(b"a.png", encoded("PNG"))
    for length in (0, 3, 20, 90, len(whole) // 2, len(whole) - 4):
        refused(client.post("/v1/query", content=whole[:length], headers=kind), 400, "bad_form")
