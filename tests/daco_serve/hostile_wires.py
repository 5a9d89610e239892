"""Malformed and excessive requests as bytes, for raw connections.

Those that were thought of one by one are in `oddities`; the other kinds are generated in numbers, every place that
bytes
may stand in with every size and spelling, so that what is right in one place is seen to be right in its siblings.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from .hostile import photo

POST = b"POST /v1/query HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SIZES = (1000, 8000, 8300, 64_000, 66_000, 300_000)
FILES = (b"/v1/references/0/image", b"/v1/references/0/image?width=64", b"/web/app.js")


@dataclass(frozen=True)
class Wire:
    """Bytes for a bare connection."""

    kind: str
    name: str
    content: bytes


def get(target: bytes, *fields: tuple[bytes, bytes], version: bytes = b"1.1") -> bytes:
    lines = [b"GET " + target + b" HTTP/" + version, b"Host: localhost"]
    return b"\r\n".join([*lines, *(name + b": " + value for name, value in fields), b"", b""])


def heads() -> Iterator[Wire]:
    """Every place in a head, with much in it; whole, and without its end."""
    places: dict[str, tuple[bytes, bytes, bytes]] = {
        "method": (b"", b"A", b" / HTTP/1.1\r\nHost: localhost"),
        "path": (b"GET /", b"a", b" HTTP/1.1\r\nHost: localhost"),
        "escaped path": (b"GET /", b"%2f", b" HTTP/1.1\r\nHost: localhost"),
        "query": (b"GET /?", b"a&", b" HTTP/1.1\r\nHost: localhost"),
        "host of the address": (b"GET http://", b"a.", b"/ HTTP/1.1\r\nHost: localhost"),
        "version": (b"GET / HTTP/1.", b"1", b"\r\nHost: localhost"),
        "field's name": (GET, b"a", b": b"),
        "field without a colon": (GET, b"a", b""),
        "blanks before a value": (GET + b"X:", b" ", b"b"),
        "blanks after a value": (GET + b"X: b", b" ", b""),
        "fields": (GET, b"X: y\r\n", b"X: y"),
        "fields without a value": (GET, b"X:\r\n", b"X:"),
        "folded lines": (GET + b"X: a", b"\r\n b", b""),
        "line ends before the request": (b"", b"\r\n", GET.rstrip()),
    }
    for name in (
        "Host", "Accept", "Accept-Encoding", "Authorization", "X-API-Key", "Cookie", "Connection", "Content-Type",
        "Content-Length", "Expect", "If-None-Match", "If-Range", "Origin", "Range", "Referer", "Sec-Fetch-Site", "TE",
        "Transfer-Encoding", "Upgrade", "User-Agent", "X-Forwarded-For", "X-Forwarded-Proto", "X-Request-ID",
        "traceparent",
    ):  # fmt: skip
        places[name] = (get(FILES[0])[:-2] + name.encode() + b": ", b"1,", b"")
    for (place, (before, unit, after)), size, ends in product(places.items(), SIZES, (b"\r\n\r\n", b"")):
        content = before + unit * (size // len(unit)) + (after if ends else b"") + ends
        yield Wire("head", f"{place} of {size} bytes{'' if ends else ', unfinished'}", content)


def trailers() -> Iterator[Wire]:
    end = CHUNKED + b"3\r\nabc\r\n0\r\n"
    places = {
        "name": (end, b"a", b": b"),
        "value": (end + b"X: ", b"a", b""),
        "fields": (end, b"X: y\r\n", b"X: y"),
        "keys": (end, b"X-API-Key: y\r\n", b"Authorization: Bearer y"),
        "lengths": (end, b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked"),
        "hosts": (end, b"Host: evil.example\r\n", b"Host: y"),
        "nonsense": (end, b"a\0b", b""),
    }
    for (place, (before, unit, after)), size, ends in product(places.items(), SIZES, (b"\r\n\r\n", b"")):
        yield Wire("trailer", f"{place} of {size} bytes", before + unit * (size // len(unit)) + after + ends)


def chunks() -> Iterator[Wire]:
    """Extensions of a chunk, its size in every spelling, and many small ones."""
    extensions = {
        "one": (b"3;", b"a", b"\r\nabc\r\n0\r\n"),
        "many": (b"3", b";a=b", b"\r\nabc\r\n0\r\n"),
        "in quotes": (b'3;a="', b"a", b'"\r\nabc\r\n0\r\n'),
        "in quotes that do not end": (b'3;a="', b"\r\n", b""),
        "at the last": (b"3\r\nabc\r\n0;", b"a", b"\r\n"),
        "blanks": (b"3", b" ", b"\r\nabc\r\n0\r\n"),
        "leading zeros": (b"", b"0", b"3\r\nabc\r\n0\r\n"),
        "at each": (b"", b"1;a=b\r\nx\r\n", b"0\r\n"),
        "long at each": (b"", b"1;" + b"a" * 300 + b"\r\nx\r\n", b"0\r\n"),
        "empty ones": (b"", b"1\r\n\r\n\r\n", b""),
    }
    for (place, (before, unit, after)), size in product(extensions.items(), SIZES):
        content = CHUNKED + before + unit * (size // len(unit)) + after + b"\r\n"
        yield Wire("chunk", f"extension, {place}, of {size} bytes", content)
    for size in (
        b"", b" ", b"-1", b"+3", b"0x3", b"3 ", b" 3", b"3\t", b"3.0", b"1e1", b"g", b"\xb2", b"f" * 16, b"f" * 17,
        b"7fffffffffffffff", b"8000000000000000", b"ffffffff", b"100000000", b"3,3", b"3;", b";", b"3\0", b"3\r",
        b"3\n",
    ):  # fmt: skip
        for following in (b"abc\r\n0\r\n\r\n", b"abc", b"abcd\r\n0\r\n\r\n"):
            yield Wire("chunk", f"size {size!r}, then {following!r}", CHUNKED + size + b"\r\n" + following)


def framings() -> Iterator[Wire]:
    """Lengths and transfer encodings that two readers might read differently."""
    lengths = (
        b"5", b"+5", b"-5", b"-0", b"0", b"05", b"5 ", b"5,5", b"5,6", b"5;5", b"0x5", b"5.0", b"5e0", b"", b"\t5",
        b"five", b"\xd9\xa5", b"4294967301", b"18446744073709551621", b"5\0", b"5_0",
    )  # fmt: skip
    encodings = (
        b"chunked", b"Chunked", b"CHUNKED", b"\tchunked", b"chunked ", b"\x0bchunked", b"chunked,", b",chunked",
        b"chunked, chunked", b"chunked, identity", b"identity", b"identity, chunked", b"gzip", b"gzip, chunked",
        b"xchunked", b"chunked;q=1", b'"chunked"', b"", b"chunke\0d", b"chunked\0",
    )  # fmt: skip
    bodies = (b"abcde", b"5\r\nabcde\r\n0\r\n\r\n", b"0\r\n\r\nGET /secret HTTP/1.1\r\nHost: localhost\r\n\r\n")
    for value, body in product(lengths, bodies):
        yield Wire("framing", f"length {value!r}", POST + b"Content-Length: " + value + b"\r\n\r\n" + body)
    for value, body in product(encodings, bodies):
        yield Wire("framing", f"encoding {value!r}", POST + b"Transfer-Encoding: " + value + b"\r\n\r\n" + body)
    for length, encoding in product(lengths[:6], encodings[:6]):
        both = [b"Content-Length: " + length, b"Transfer-Encoding: " + encoding]
        for order in (both, both[::-1]):
            yield Wire("framing", f"{length!r} and {encoding!r}", POST + b"\r\n".join([*order, b"", bodies[1]]))
    for name in (b"Content-Length ", b" Content-Length", b"Content_Length", b"Content-Length\0", b"Content-Length\t"):
        yield Wire("framing", f"field {name!r}", POST + name + b": 5\r\n\r\nabcde")
    for end in (b"\n", b"\r", b"\r\r\n", b"\n\r", b"\x0b", b"\x85", b"\xe2\x80\xa8"):
        yield Wire("framing", f"lines that end in {end!r}", (GET + b"X: y\r\n\r\n").replace(b"\r\n", end))
        yield Wire("framing", f"a value with {end!r}", GET + b"X: a" + end + b"Y: b\r\n\r\n")


def ranges() -> Iterator[Wire]:
    for value, target in product(
        (
            b"bytes=0-1", b"bytes=5-3", b"bytes=-", b"bytes=", b"bytes", b"=", b"", b"bits=0-1", b"bytes=0-1,2-3",
            b"bytes=0-,-1", b"bytes=-0", b"bytes=-1", b"bytes=-99999999999999999999", b"bytes=99999999999999999999-",
            b"bytes=999999999-", b"bytes=0-99999999999999999999", b"bytes=a-b", b"bytes=1-2-3", b"bytes=+1-2",
            b"bytes=1.5-2", b"bytes=0x1-2", b"bytes= 1-2", b"bytes=1 -2", b"bytes=\xd9\xa1-2", b"bytes=\xb2-",
            b"BYTES=0-1",
            b"bytes=0-0,0-0,0-0,0-0", b"bytes=" + b"0-," * 5000, b"bytes=" + b"9" * 5000 + b"-", b"bytes=1_0-",
            b"bytes:0-1", b"bytes=0-1;q=1", b"none=0-1", b"seconds=1-2", b"bytes=0--1",
        ),
        FILES,
    ):  # fmt: skip
        yield Wire("range", f"{value[:30]!r} of {target.decode()}", get(target, (b"Range", value)))
        yield Wire("range", f"two of {value[:30]!r}", get(target, (b"Range", value), (b"Range", b"bytes=0-1")))
    for value, target in product(
        (
            b"*",
            b'"a"',
            b'W/"a"',
            b"a",
            b"",
            b",",
            b'"a", W/"b"',
            b'"' * 1000,
            b'"a",' * 5000,
            b"\xff",
            b"Thu, 01 Jan 1970",
        ),
        FILES,
    ):
        for name in (b"If-None-Match", b"If-Match", b"If-Range", b"If-Modified-Since", b"If-Unmodified-Since"):
            fields = ((name, value), (b"Range", b"bytes=0-1"))
            yield Wire("condition", f"{name.decode()} {value[:20]!r}", get(target, *fields))


def askers() -> Iterator[Wire]:
    """Who asks, from which page, and for which host."""
    for host in (
        b"localhost", b"LOCALHOST", b"localhost:", b"localhost:80", b"localhost:80:80", b"localhost:x", b"[::1]",
        b"[::1]evil.example", b"[::1", b"::1", b"[::1]:80x", b"[::ffff:127.0.0.1]", b"127.0.0.1.evil.example", b"0",
        b"@",
        b"localhost@evil.example", b"evil.example", b"localhost/", b"localhost#", b"localhost?", b"", b" ",
        b"a,localhost",
        b"xn--", b"\xc3\xa9", b"%6cocalhost", b".localhost", b"localhost.", b"127.1", b"2130706433", b"0x7f.1",
        b"[::1%25eth0]", b"[fe80::1%eth0]",
    ):  # fmt: skip
        yield Wire("asker", f"host {host!r}", b"GET /v1/indexes HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    for origin in (
        b"null", b"https://evil.example", b"http://localhost", b"http://[", b"", b"x", b"http://localhost@evil.example",
        b"file://", b"http://localhost\\.evil.example", b"HTTP://LOCALHOST", b"\xff", b"http://" + b"a" * 5000, b"//",
        b":",
    ):  # fmt: skip
        for site in (b"", b"cross-site", b"same-origin", b"nonsense"):
            fields = b"Origin: " + origin + b"\r\n" + (b"Sec-Fetch-Site: " + site + b"\r\n" if site else b"")
            yield Wire("asker", f"origin {origin[:20]!r}, {site!r}", POST + fields + b"Content-Length: 1\r\n\r\nx")
    for name in (
        b"unknown", b"", b",", b",,,", b"1.2.3.4", b"1.2.3.4:x", b"[::1]:x", b"[", b"]", b"::ffff:1.2.3.4", b"1.2.3",
        b"999.1.1.1", b"\x1b[31mred", b"' OR 1=1", b"<script>", b"%0a", b"_hidden", b"for=1.2.3.4", b"1.2.3.4/8",
        b"\xff",
        b"1.2.3.4 " * 500, b"127.0.0.1," * 5000, b"[::1]," * 5000, b"fe80::1%eth0",
    ):  # fmt: skip
        yield Wire("asker", f"forwarded for {name[:20]!r}", get(b"/v1/indexes", (b"X-Forwarded-For", name)))
    for proto in (b"https", b"javascript", b"", b"http, https", b"\xff"):
        yield Wire("asker", f"forwarded as {proto!r}", get(b"/v1/indexes/", (b"X-Forwarded-Proto", proto)))


def parameters() -> Iterator[Wire]:
    """Addresses whose parameters are none."""
    values = (
        b"", b"%20", b"%20%20", b"%00", b"%0a", b"%ff", b"%", b"%zz", b"+", b"-", b"nan", b"inf", b"-1", b"1e999",
        b"0x10",
        b"1_0", b"%d9%a1", b"%F0%9F%93%B7", b"null", b"[]", b"..%2f..%2fetc", b"'", b'"', b"1" * 4000, b"%ed%a0%80",
        b"true",
    )  # fmt: skip
    targets = (
        b"/v1/references/%b", b"/v1/references/%b/image", b"/v1/references/0/image?width=%b",
        b"/v1/indexes/%b/coverage",
        b"/v1/references/0?index=%b", b"/%b", b"/web/%b", b"/static-offline-docs/%b", b"/docs?%b",
    )  # fmt: skip
    for target, value in product(targets, values):
        yield Wire("parameter", f"{target.decode()} of {value[:20]!r}", get(target.replace(b"%b", value)))
    queries = (b"k=%b", b"prior=%b", b"prior=35,139,%b", b"prior=%b,139,200", b"prior=35,%b,200", b"index=%b", b"%b=%b")
    for target, value in product(queries, values):
        path = b"POST /v1/query?" + target.replace(b"%b", value) + b" HTTP/1.1\r\nHost: localhost\r\n"
        yield Wire("parameter", f"{target.decode()} of {value[:20]!r}", path + b"Content-Length: 1\r\n\r\nx")


def oddities() -> Iterator[Wire]:
    """Requests that are none, or nearly."""
    content = photo("PNG")
    head = b"POST /v1/query HTTP/1.1\r\nHost: localhost\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    sized = b"Content-Length: %d\r\n" % len(content)
    image = b"GET /v1/references/0/image HTTP/1.1\r\nHost: localhost\r\n"
    get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    texts = {
        "length not a number": head + b"Content-Length: many\r\n\r\n" + content,
        "length below nothing": head + b"Content-Length: -1\r\n\r\n" + content,
        "length of 30 digits": head + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n" + content,
        "two lengths": head + sized + b"Content-Length: 5\r\n\r\n" + content,
        "length and chunks": head + sized + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + content,
        "length too short": head + b"Content-Length: 10\r\n\r\n" + content,
        "length too long": head + b"Content-Length: 100000\r\n\r\n" + content,
        "length of 3 GB": head + b"Content-Length: 3000000000\r\n\r\n" + content,
        "unknown transfer encoding": head + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "chunk size not a number": chunked + b"zz\r\n" + content,
        "chunk size below nothing": chunked + b"-5\r\n" + content,
        "chunk size of 40 digits": chunked + b"f" * 40 + b"\r\n" + content,
        "chunk longer than said": chunked + b"3\r\nabcdef\r\n0\r\n\r\n",
        "chunk with 100,000 letters of extension": chunked + b"3;" + b"a" * 100_000 + b"\r\nabc\r\n0\r\n\r\n",
        "5000 chunks of one byte": chunked + b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n",
        "4 MB in chunks": chunked + (b"10000\r\n" + bytes(65_536) + b"\r\n") * 64 + b"0\r\n\r\n",
        "trailers": chunked + b"3\r\nabc\r\n0\r\nX-Evil: 1\r\n\r\n",
        "photograph in chunks": chunked + b"%x\r\n" % len(content) + content + b"\r\n0\r\n\r\n",
        "expects what nobody knows": head + sized + b"Expect: miracles\r\n\r\n" + content,
        "expects to be told to go on": head + b"Content-Length: 999999999\r\nExpect: 100-continue\r\n\r\n",
        "HTTP/0.9": b"GET /\r\n\r\n",
        "HTTP/9.9": b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(30),
        "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        "SSH": b"SSH-2.0-OpenSSH_9.9\r\n",
        "SOCKS": b"\x05\x01\x00",
        "noise": random.Random(5).randbytes(3000),
        "zeros": bytes(3000),
        "line ends only": b"\r\n" * 2000,
        "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
        "two hosts": get + b"Host: y\r\n\r\n",
        "host that is none": b"GET /healthz HTTP/1.1\r\nHost: \r\n\r\n",
        "host of odd letters": b"GET /healthz HTTP/1.1\r\nHost: a b<>\"\r\n\r\n",
        "header of 100,000 letters": get + b"X: " + b"a" * 100_000 + b"\r\n\r\n",
        "5000 headers": get + b"X: y\r\n" * 5000 + b"\r\n",
        "header without a name": get + b": x\r\n\r\n",
        "header without a colon": get + b"nonsense\r\n\r\n",
        "header with a zero": get + b"X: a\0b\r\n\r\n",
        "header over two lines": get + b"X: a\r\n b\r\n\r\n",
        "header with a blank before its colon": get + b"X : a\r\n\r\n",
        "header beyond ASCII": get + b"X-\xff: \xfe\r\n\r\n",
        "unknown method": b"BREW /v1/query HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "method of 10,000 letters": b"A" * 10_000 + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "method of odd letters": b"G<>T / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "address of 60,000 letters": b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "address with a zero": b"GET /v1/references/%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "address that climbs": b"GET /web/../../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "address that climbs, encoded": b"GET /web/%2e%2e/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "that climbs, encoded twice": b"GET /web/%252e%252e/%252e%252e/app.py HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "address that climbs, backwards": b"GET /web/..\\..\\app.py HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "address with two slashes": b"GET //etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "address beyond UTF-8": b"GET /%ff%fe HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "address beyond ASCII": b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "address of elsewhere": b"GET http://example.org/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "address of a star": b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "reference far away": b"GET /v1/references/99999999999999999999 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "reference below nothing": b"GET /v1/references/-1/image HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "reference that is code": b"GET /v1/references/1%20OR%201=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "image of no width": b"GET /v1/references/0/image?width=0 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "image of all widths": b"GET /v1/references/0/image?width=1e9 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "ranges that overlap": image + b"Range: bytes=" + b"0-,-1," * 1000 + b"\r\n\r\n",
        "range beyond": image + b"Range: bytes=999999999-\r\n\r\n",
        "range backwards": image + b"Range: bytes=9-1\r\n\r\n",
        "tunnel": b"CONNECT example.org:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "trace": b"TRACE / HTTP/1.1\r\nHost: localhost\r\nX: <script>\r\n\r\n",
        "websocket": get + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
        "upgrade to HTTP/2": get + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
        "500 requests at once": (get + b"\r\n") * 500,
        "a request in its body": head + b"Content-Length: 41\r\n\r\nGET /secret HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "request id that breaks the line": get + b"X-Request-ID: a\rSet-Cookie: b\r\n\r\n",
        "forwarded by nonsense": get + b"X-Forwarded-For: ', ,,%00, [::::], 1.2.3.4.5\r\nX-Forwarded-Proto: js\r\n\r\n",
        "authorization of 60,000 letters": get + b"Authorization: Bearer " + b"a" * 60_000 + b"\r\n\r\n",
        "length on a reading": get + b"Content-Length: 5\r\n\r\nabcde",
    }  # fmt: skip
    yield from (Wire("wire", name, text) for name, text in texts.items())


def wires(every: int = 1) -> list[Wire]:
    """All of them, or of the generated ones one of so many of each kind."""
    kinds = (heads, trailers, chunks, framings, ranges, askers, parameters)
    return [*oddities(), *(wire for kind in kinds for wire in list(kind())[::every])]
