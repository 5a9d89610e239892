"""Hostile uploads, several hundred by kind, generated deterministically."""

import base64
import io
import json
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from PIL import Image, PngImagePlugin

FORMATS = ("JPEG", "PNG", "WEBP")


@dataclass(frozen=True)
class Hostile:
    """One body for `POST path`."""

    kind: str
    name: str
    content: bytes
    headers: dict[str, str] = field(default_factory=dict)
    path: str = "/v1/query"


def photo(kind: str, size: tuple[int, int] = (96, 72), mode: str = "RGB", **settings: object) -> bytes:
    pixels = np.random.default_rng(size[0]).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, kind, **settings)
    return buffer.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, rows: bytes, depth: int = 8, colour: int = 0, before: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + before
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def resized_jpeg(width: int, height: int) -> bytes:
    """A small JPEG that claims to be large."""
    content = bytearray(photo("JPEG"))
    at = content.index(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(
        name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2) for name, content in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def animated(kind: str, frames: int, size: tuple[int, int] = (64, 48)) -> bytes:
    pictures = [Image.new("RGB", size, (number * 7 % 256, number * 13 % 256, 90)) for number in range(frames)]
    buffer = io.BytesIO()
    pictures[0].save(buffer, kind, save_all=True, append_images=pictures[1:], duration=1)
    return buffer.getvalue()


def exif(content: bytes) -> bytes:
    """A JPEG with this EXIF."""
    whole = photo("JPEG")
    return whole[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 8) + b"Exif\0\0" + content + whole[2:]


def ifd(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
    table = b"".join(struct.pack(">HHII", *entry) for entry in entries)
    return b"MM\0*\0\0\0\x08" + struct.pack(">H", len(entries)) + table + struct.pack(">I", following)


PIXEL = photo("PNG", (8, 8))


def bombs() -> Iterator[Hostile]:
    for width, height in ((60_000, 60_000), (2**31 - 1, 2**31 - 1), (2001, 2000), (50_000, 4000), (0xFFFF, 1000)):
        yield Hostile("bomb", f"png {width}x{height}", png(width, height, bytes(1_000_000)))
    for width, height in ((65_535, 65_535), (65_500, 5000), (5000, 65_500), (2500, 2000)):
        yield Hostile("bomb", f"jpeg that claims {width}x{height}", resized_jpeg(width, height))
    yield Hostile("bomb", "png, all its pixels there", png(2000, 2000, bytes(2000 * 2001)))
    yield Hostile("bomb", "png, a hundred times its pixels", png(200, 200, bytes(4_000_000)))
    much = zlib.compress(bytes(100_000_000), 9)
    for name, text in (
        (b"zTXt", b"Comment\0\0" + much),
        (b"iTXt", b"Comment\0\x01\0\0\0" + much),
        (b"iCCP", b"profile\0\0" + much),
    ):
        yield Hostile(
            "bomb",
            f"png whose {name.decode()} unpacks to 100 MB",
            png(64, 64, bytes(64 * 65), before=chunk(name, text)),
        )
    yield Hostile("bomb", "png of 200,000 chunks", png(64, 64, bytes(64 * 65), before=chunk(b"teSt", b"") * 200_000))
    yield Hostile("bomb", "png of 20,000 texts", png(64, 64, bytes(64 * 65), before=chunk(b"tEXt", b"a\0b") * 20_000))
    buffer = io.BytesIO()
    Image.new("RGB", (1900, 1800), "grey").save(buffer, "JPEG", progressive=True)
    scans = buffer.getvalue()
    last = scans[scans.rindex(b"\xff\xda") : -2]
    for times in (30, 300, 1000):
        many = scans[:-2] + last * times + scans[-2:]
        yield Hostile("bomb", f"progressive jpeg with its last scan {times} times", many)
    yield Hostile("bomb", "jpeg of 30,000 comments", scans[:2] + b"\xff\xfe\0\x04hi" * 30_000 + scans[2:])
    yield Hostile("bomb", "jpeg of 2 MB of padding", scans[:2] + b"\xff" * 2_000_000 + scans[2:])
    yield Hostile(
        "bomb",
        "webp that claims 16384x16384",
        riff((b"VP8X", struct.pack("<I", 0x10) + b"\xff\x3f\0\xff\x3f\0"), (b"VP8L", b"\x2f" + b"\xff" * 40)),
    )
    solid = io.BytesIO()
    Image.new("RGB", (4000, 1200), "red").save(solid, "WEBP", lossless=True)
    yield Hostile("bomb", "webp of one colour, 4.8 megapixels", solid.getvalue())
    yield Hostile("bomb", "gzip of 100 MB", much, {"Content-Encoding": "gzip"})
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.jpg", bytes(50_000_000))
    yield Hostile("bomb", "zip of 50 MB", archive.getvalue())
    laughs = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    yield Hostile(
        "bomb",
        "svg of a billion laughs",
        f'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a0 "ha">{laughs}]><svg>&a9;</svg>'.encode(),
    )


def shapes() -> Iterator[Hostile]:
    for width, height in (
        (1, 100_000),
        (100_000, 1),
        (1, 1),
        (2, 2),
        (1, 16),
        (1, 17),
        (17, 1),
        (0, 0),
        (0, 5),
        (3, 200_000),
    ):
        yield Hostile("odd shape", f"png {width}x{height}", png(width, height, b"\0" * (width + 1) * height))
    for width, height in ((1, 60_000), (60_000, 1), (1, 1), (0, 0), (0, 48), (96, 0)):
        yield Hostile(
            "odd shape",
            f"jpeg {width}x{height}",
            resized_jpeg(width, height) if 0 in (width, height) else photo("JPEG", (width, height)),
        )
    for width, height in ((1, 16_383), (16_383, 1), (1, 1)):
        yield Hostile("odd shape", f"webp {width}x{height}", photo("WEBP", (width, height)))


def truncated() -> Iterator[Hostile]:
    for kind in FORMATS:
        whole = photo(kind)
        for length in (
            1,
            2,
            3,
            4,
            8,
            12,
            16,
            20,
            24,
            33,
            len(whole) // 4,
            len(whole) // 2,
            len(whole) - 100,
            len(whole) - 2,
            len(whole) - 1,
        ):
            yield Hostile("truncated", f"{kind} after {length} bytes", whole[:length])
    yield Hostile("truncated", "nothing", b"")


def polyglots() -> Iterator[Hostile]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("../../evil.sh", "rm -rf /")
    html = b"<html><script>alert(1)</script></html>"
    php = b"<?php system($_GET['c']); ?>"
    others = {
        "zip": archive.getvalue(),
        "html": html,
        "php": php,
        "pdf": b"%PDF-1.7\n1 0 obj\n",
        "elf": b"\x7fELF" + bytes(60),
    }
    for kind in FORMATS:
        for name, other in others.items():
            yield Hostile("polyglot", f"{kind} then {name}", photo(kind) + other)
            yield Hostile("polyglot", f"{name} then {kind}", other + photo(kind))
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", html.decode())
    yield Hostile("polyglot", "html in a png's text", photo("PNG", pnginfo=text), {"Content-Type": "text/html"})
    yield Hostile(
        "polyglot", "php in a jpeg's comment", photo("JPEG", comment=php), {"Content-Type": "application/x-php"}
    )
    yield Hostile("polyglot", "gif that is a zip", b"GIF89a" + archive.getvalue())
    for first in FORMATS:
        for second in FORMATS:
            yield Hostile("polyglot", f"{first} then {second}", photo(first) + photo(second))


def wrong_types() -> Iterator[Hostile]:
    for kind in ("GIF", "BMP", "TIFF", "PPM", "TGA", "PCX", "ICO", "DDS", "SGI", "EPS", "PDF", "JPEG2000", "AVIF"):
        try:
            yield Hostile("wrong type", kind, photo(kind))
        except (KeyError, OSError):
            continue  # this build of Pillow cannot write it
    for name, start in {
        "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "mp4": b"\0\0\0\x18ftypisom\0\0\0\0isom",
        "jpeg xl": b"\xff\x0a",
        "psd": b"8BPS\0\x01",
        "wave in riff": riff()[:8] + b"WAVEfmt ",
        "xcf": b"gimp xcf file\0",
        "flif": b"FLIF",
        "fits": b"SIMPLE  =                    T",
        "postscript": b"%!PS-Adobe-3.0\n/x {x x} def x\n",
        "json": b'{"image": "/etc/passwd"}',
        "a path": b"/etc/passwd",
        "a url": b"http://169.254.169.254/latest/meta-data/",
        "xml with an outside entity": b'<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/passwd">]><svg>&y;</svg>',
        "pickle": b"\x80\x04\x95cos\nsystem\n(S'id'\ntR.",
        "torch archive": b"PK\x03\x04archive/data.pkl",
        "zeros": bytes(10_000),
        "ones": b"\xff" * 10_000,
        "one byte": b"x",
        "unicode": "📷".encode() * 1000,
    }.items():
        yield Hostile("wrong type", name, start + bytes(200))
    for kind in (
        "text/html",
        "application/json",
        "image/gif",
        "nonsense",
        "a/b/c",
        "image/jpeg; charset=é",
        "/",
        ";" * 1000,
    ):
        yield Hostile(
            "wrong type",
            f"a jpeg called {kind[:20]}",
            photo("JPEG"),
            {"Content-Type": kind.encode("latin-1").decode("latin-1")},
        )


def moving() -> Iterator[Hostile]:
    for kind in ("PNG", "WEBP", "GIF"):
        for frames in (2, 40, 200):
            yield Hostile("animated", f"{kind} of {frames} frames", animated(kind, frames))
    whole = animated("PNG", 3)
    at = whole.index(b"acTL")
    for count in (0, 1, 2**31, 2**32 - 1):
        yield Hostile(
            "animated",
            f"png that claims {count} frames",
            whole[: at - 4] + chunk(b"acTL", struct.pack(">II", count, 0)) + whole[at + 16 :],
        )
    frame = struct.pack("<I", 0)[:3] * 2 + b"\xff\x3f\0\xff\x3f\0" + bytes(4)
    yield Hostile(
        "animated",
        "webp whose frame is larger than it",
        riff((b"VP8X", b"\x02\0\0\0\x3f\0\0\x2f\0\0"), (b"ANIM", bytes(6)), (b"ANMF", frame)),
    )


def damaged(per_format: int, seed: int = 1) -> Iterator[Hostile]:
    chance = random.Random(seed)
    for kind in FORMATS:
        whole = photo(kind)
        for number in range(per_format):
            content = bytearray(whole)
            for _ in range(chance.choice((1, 4, 30))):
                at = chance.randrange(len(content)) if number % 2 else chance.randrange(min(64, len(content)))
                content[at] = chance.randrange(256)
            yield Hostile("damaged", f"{kind}, dice {number}", bytes(content))
    for depth in (1, 2, 4, 8, 16, 3, 32):
        for colour in (0, 2, 3, 4, 6, 5):
            yield Hostile(
                "damaged", f"png of {depth} bits, colour type {colour}", png(40, 30, bytes(40 * 30 * 9), depth, colour)
            )


def metadata() -> Iterator[Hostile]:
    for value in (0, 1, 6, 9, 255, 65_535):
        yield Hostile("metadata", f"orientation {value}", exif(ifd((0x0112, 3, 1, value << 16))))
    yield Hostile("metadata", "orientation as text", exif(ifd((0x0112, 2, 4, 0x41414100))))
    yield Hostile("metadata", "directory that follows itself", exif(ifd((0x0112, 3, 1, 1 << 16), following=8)))
    yield Hostile("metadata", "gps directory that is itself", exif(ifd((0x8825, 4, 1, 8))))
    yield Hostile(
        "metadata", "four thousand million values", exif(ifd((0x0112, 3, 2**32 - 1, 8), (0x010F, 2, 2**32 - 1, 8)))
    )
    yield Hostile("metadata", "offsets outside", exif(ifd((0x8825, 4, 1, 2**32 - 1), (0x8769, 4, 1, 2**31))))
    yield Hostile("metadata", "fractions over nothing", exif(ifd((0x011A, 5, 1, 26)) + bytes(64)))
    yield Hostile("metadata", "five thousand entries", exif(ifd(*[(number, 3, 1, 0) for number in range(5000)])))
    yield Hostile("metadata", "only a beginning", exif(b"MM\0*\0\0"))
    yield Hostile("metadata", "noise", exif(random.Random(3).randbytes(2000)))
    yield Hostile(
        "metadata",
        "multi-picture that claims 60000",
        photo("JPEG")[:2]
        + b"\xff\xe2\0\x20MPF\0MM\0*\0\0\0\x08\0\x01\xb0\x01\0\x04\0\0\0\x01\0\0\xea\x60\0\0\0\0"
        + photo("JPEG")[2:],
    )


def unusual() -> Iterator[Hostile]:
    """Rare but right: these are to be answered."""
    for kind, mode in (
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "1"),
        ("PNG", "L"),
        ("PNG", "LA"),
        ("PNG", "P"),
        ("PNG", "RGBA"),
        ("WEBP", "RGBA"),
    ):
        yield Hostile("unusual", f"{kind} {mode}", photo(kind, mode=mode))
    yield Hostile("unusual", "progressive jpeg", photo("JPEG", progressive=True))
    yield Hostile("unusual", "jpeg of 4:2:0", photo("JPEG", subsampling=2))
    yield Hostile("unusual", "lossless webp", photo("WEBP", lossless=True))
    yield Hostile("unusual", "png that is transparent", photo("PNG", mode="P", transparency=0))


def forms() -> Iterator[Hostile]:
    content = photo("JPEG")

    def form(name: str, body: bytes, kind: str = "multipart/form-data; boundary=x") -> Hostile:
        return Hostile("form", name, body, {"Content-Type": kind})

    def part(head: bytes, body: bytes = content) -> bytes:
        return b"--x\r\n" + head + b"\r\n\r\n" + body + b"\r\n"

    usual = b'Content-Disposition: form-data; name="image"; filename="a.jpg"'
    end = b"--x--\r\n"
    yield form("no boundary", part(usual) + end, "multipart/form-data")
    yield form("empty boundary", part(usual) + end, "multipart/form-data; boundary=")
    yield form("boundary in quotes", part(usual) + end, 'multipart/form-data; boundary="x"')
    yield form("boundary of 10,000 letters", part(usual) + end, "multipart/form-data; boundary=" + "x" * 10_000)
    yield form("another boundary", part(usual) + end, "multipart/form-data; boundary=y")
    yield form("two boundaries", part(usual) + end, "multipart/form-data; boundary=y; boundary=x")
    yield form("boundary of odd letters", part(usual) + end, "multipart/form-data; boundary=\x7f;,=?")
    yield form("charset that is none", part(usual) + end, "multipart/form-data; boundary=x; charset=utf-999")
    yield form("no end", part(usual))
    yield form("only the end", end)
    yield form("only a start", b"--x\r\n")
    yield form("line ends of Unix", (part(usual) + end).replace(b"\r\n", b"\n"))
    yield form("nothing after the head", b"--x\r\n" + usual)
    yield form("much before the first part", b"a" * 100_000 + b"\r\n" + part(usual) + end)
    yield form("much after the end", part(usual) + end + b"a" * 100_000)
    yield form("no name", part(b"Content-Disposition: form-data") + end)
    yield form("no disposition", part(b"Content-Type: image/jpeg") + end)
    yield form("no head", b"--x\r\n\r\n" + content + b"\r\n" + end)
    yield form("head of 100,000 letters", part(usual + b"\r\nX-Long: " + b"a" * 100_000) + end)
    yield form("2000 heads", part(usual + b"\r\nX: y" * 2000) + end)
    yield form(
        "5000 fields",
        b"".join(part(f'Content-Disposition: form-data; name="f{n}"'.encode(), b"1") for n in range(5000)) + end,
    )
    yield form("500 files", part(usual, b"x") * 500 + end)
    yield form("the photograph twice", part(usual) * 2 + end)
    yield form("a field of 1 MB", part(b'Content-Disposition: form-data; name="f"', bytes(1_000_000)) + end)
    yield form(
        "a field in the photograph's place", part(b'Content-Disposition: form-data; name="image"', b"/etc/passwd") + end
    )
    yield form("base64", part(usual + b"\r\nContent-Transfer-Encoding: base64", base64.b64encode(content)) + end)
    yield form(
        "a form in a form",
        part(usual + b"\r\nContent-Type: multipart/mixed; boundary=z", b"--z\r\n\r\n" + content + b"\r\n--z--") + end,
    )
    for name in (
        b"../../../../etc/passwd",
        b"/dev/stdin",
        b"a\0.jpg",
        b"a" * 60_000,
        b"\xff\xfe\xfd",
        b'"; name="other',
        b"CON",
        b"%2e%2e%2f",
        b"a\tb",
        b"${jndi:ldap://x}",
    ):
        yield form(
            f"file name {name[:20]!r}",
            part(b'Content-Disposition: form-data; name="image"; filename="' + name + b'"') + end,
        )
    yield Hostile(
        "form",
        "batch of 500",
        part(usual, b"x") * 500 + end,
        {"Content-Type": "multipart/form-data; boundary=x"},
        "/v1/query/batch",
    )
    yield Hostile("form", "batch that is none", content, {}, "/v1/query/batch")
    yield Hostile(
        "form",
        "batch of bad ones",
        part(usual, b"x") * 3 + end,
        {"Content-Type": "multipart/form-data; boundary=x"},
        "/v1/query/batch",
    )


def names_and_charsets() -> Iterator[Hostile]:
    """Every file name in every charset that Python has a codec for, and some for which it has none."""
    charsets = (
        "unicode_escape", "raw_unicode_escape", "utf-7", "utf-16", "utf-32", "utf_8_sig", "idna", "punycode", "rot13",
        "hex", "base64", "zlib", "bz2", "uu", "quopri", "undefined", "mbcs", "cp037", "utf-999", "latin-1", "ascii",
        "big5",
    )  # fmt: skip
    names = (
        b"\\ud800", b"+2AA-", b"\xed\xa0\x80", b"\xff\xfe", b"a\0b", b"\xc3\xa9", b"\xf0\x9f\x93\xb7", b"\\N{DIGIT}",
        b"\\x",
        b"=?utf-8?b?2AA=?=", b"%ED%A0%80", b"\xc0\x80", b"",
    )  # fmt: skip
    for charset, name in product(charsets, names):
        disposition = b'Content-Disposition: form-data; name="image"; filename="' + name + b'"'
        body = b"--x\r\n" + disposition + b"\r\n\r\n" + PIXEL + b"\r\n--x--\r\n"
        headers = {"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"}
        yield Hostile("charset", f"{name!r} in {charset}", body, headers, "/v1/query/batch")


def heavy_poses() -> Iterator[Hostile]:
    """Requests of the GeoPose Protocol with much in every place, and with what an image may be spelled as."""

    def pose(name: str, body: str) -> Hostile:
        headers = {"Content-Type": "application/json"}
        return Hostile("heavy geopose", name, body.encode("utf-8", "surrogatepass"), headers, "/geopose")

    image = base64.b64encode(PIXEL).decode()
    camera = '{"imageFormat": "JPG", "imageBytes": "%s"}'
    whole = '{"id": "1", "sensorReadings": {"cameraReadings": [%s]%s}%s}'
    items = {
        "an object": "{}",
        "a number": "1",
        "a long number": "9" * 400,
        "a text": '"' + "x" * 50 + '"',
        "an escaped text": '"' + "\\u0041" * 20 + '"',
        "half a surrogate": '"\\ud800"',
        "a photograph": camera % "AAAA",
        "a photograph of nothing": '{"imageBytes":""}',
        "a position": '{"latitude": 1, "longitude": 1, "accuracy": 1}',
        "a list": "[[]]",
        "null": "null",
    }
    for (what, item), count in product(items.items(), (1, 200, 300, 5000, 40_000)):
        many = ",".join([item] * count)
        yield pose(f"{count} readings, each {what}", whole % (camera % image, f', "wifiReadings": [{many}]', ""))
        yield pose(
            f"{count} positions, each {what}", whole % (camera % image, f', "geolocationReadings": [{many}]', "")
        )
        yield pose(f"{count} photographs, each {what}", whole % (f"{camera % image},{many}", "", ""))
        yield pose(f"{count} poses, each {what}", whole % (camera % image, "", f', "priorPoses": [{many}]'))
    for depth in (10, 150, 300, 100_000):
        yield pose(f"{depth} deep", whole % (camera % image, ', "x": ' + "[" * depth + "]" * depth, ""))
        yield pose(
            f"{depth} objects deep", whole % (camera % image, ', "x": ' + '{"x":' * depth + "1" + "}" * depth, "")
        )
    for spelled in (
        image.replace("/", "\\/"), f"data:,{image}", f"data:image/png;base64,{image}", image + "=" * 50, image[:-1],
        " " + image, image + "\\n", "\\u0041" * 50_000, "\\" * 99_999, "A" * 100_001, "=" * 1000, "é" * 1000,
        "photograph 0",
    ):  # fmt: skip
        yield pose(f"image bytes {spelled[:16]!r}", whole % (camera % spelled, "", ""))
    for rotation in ("90", "-90", "45", "1e308", "NaN", "Infinity", '"90"', "null", "[]", "true", "9" * 400):
        for mirrored in ("true", "null", '"yes"'):
            turned = f'{{"imageBytes": "{image}", "imageFormat": "JPG", "imageOrientation": '
            turned += f'{{"rotation": {rotation}, "mirrored": {mirrored}}}}}'
            yield pose(f"turned by {rotation[:9]}, mirrored {mirrored}", whole % (turned, "", ""))


def poses() -> Iterator[Hostile]:
    def pose(name: str, content: object) -> Hostile:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return Hostile("geopose", name, body, {"Content-Type": "application/json"}, "/geopose")

    def camera(**reading: object) -> dict[str, object]:
        usual = {"sensorId": "0", "imageFormat": "JPG", "imageBytes": base64.b64encode(photo("JPEG")).decode()}
        return {"id": "1", "timestamp": 1, "sensors": [], "sensorReadings": {"cameraReadings": [{**usual, **reading}]}}

    yield pose("no json", b"{")
    yield pose("a list", [])
    yield pose("null", None)
    yield pose("100,000 brackets", b"[" * 100_000)
    yield pose("a number of 100,000 digits", b'{"id": ' + b"9" * 100_000 + b"}")
    yield pose("NaN", b'{"id": NaN, "timestamp": Infinity}')
    yield pose("bytes that are no text", b'{"id": "\xff\xfe"}')
    yield pose("half a surrogate", b'{"id": "\\ud800"}')
    yield pose("no readings", {"id": "1", "sensorReadings": {}})
    yield pose("readings that are text", {"id": "1", "sensorReadings": "x"})
    for bytes_ in ("", "!", "A", "data:image/png;base64,", "data:," * 1000, "é", "/etc/passwd", "AAAA" * 1000):
        yield pose(f"image bytes {bytes_[:12]!r}", camera(imageBytes=bytes_))
    for form in ("", "RGBA32", "GIF", "x" * 10_000, None, 7):
        yield pose(f"image format {str(form)[:12]!r}", camera(imageFormat=form))
    for accuracy in (b"1e308", b"Infinity", b"NaN"):
        place = b'{"latitude": 35, "longitude": 139, "accuracy": ' + accuracy + b"}"
        readings = b'{"cameraReadings": [{"imageFormat": "JPG", "imageBytes": "AAAA"}], "geolocationReadings": ['
        yield pose(f"accuracy {accuracy.decode()}", b'{"id": "1", "sensorReadings": ' + readings + place + b"]}}")
    turn = {"x": 0, "y": 0, "z": 0, "w": 1}
    for latitude, accuracy_metres in ((95, 10), (35, 1e308)):
        last = {
            "id": "0",
            "timestamp": 1,
            "accuracy": {"position": accuracy_metres, "orientation": 1},
            "geopose": {"position": {"lat": latitude, "lon": 139, "h": 0}, "quaternion": turn},
        }
        yield pose(f"last pose at {latitude} within {accuracy_metres:g} m", {**camera(), "priorPoses": [last]})
    yield pose("10,000 readings", {"id": "1", "sensorReadings": {"cameraReadings": [{"imageBytes": "AAAA"}] * 10_000}})


VALUES = [
    "0", "1", "-1", "-0", "+1", "1.0", "1.5", "1e2", "1e999", "nan", "inf", "-inf", "true", "false", "yes", "null",
    "0x10", "1_0", "%20", "%201", "1%20", "%00", "1%00", "%0a", "%ff", "%d9%a3", "%ef%bc%93", "[]", "{}", "'",
    "%22", ";", "1,2", "101", "1000000", "2147483648", "9223372036854775808", "",
    "9" * 400, "9" * 5000, "0" * 3000 + "1", "a" * 3000,
]  # fmt: skip


def parameters(names: tuple[str, ...] = ("k", "rerank", "cells", "index")) -> Iterator[str]:
    """Query strings: each parameter of `/v1/query` with each value, given twice, and beside the others."""
    for name, value in product(names, VALUES):
        yield f"{name}={value}"
    for name, (one, other) in product(names, (("1", "2"), ("", "1"), ("1", "x"), ("0", "-1"))):
        yield f"{name}={one}&{name}={other}"
    for one, other in product(("0", "1", "20", "100", "-1", "x"), ("0", "1", "true", "x")):
        yield f"k=3&rerank={one}&cells={other}"


def queries() -> Iterator[Hostile]:
    content = photo("PNG")
    for query in (
        "k=",
        "k=-1",
        "k=1e9",
        "k=" + "9" * 5000,
        "k=%00",
        "k=1&k=2",
        "k[]=1",
        "index=../../etc",
        "index=%00",
        "index=" + "a" * 5000,
        "prior=",
        "prior=nan,nan,nan",
        "prior=inf,0,1",
        "prior=91,181,-1",
        "prior=0,0,1e308",
        "prior=" + "0," * 2000,
        "profile=x",
        "%ff=%fe",
        "&" * 5000,
        "a=b&" * 3000,
        "=",
        "k=1;drop table",
    ):
        yield Hostile("query string", query[:24], content, {}, f"/v1/query?{query}")
    for accept in (
        "",
        "*",
        "*/*;q=x",
        "application/geo+json;q=0",
        "a/b," * 3000,
        "application/geopose+json; profile=" + "x" * 5000,
        "\x7f",
    ):
        yield Hostile("query string", f"Accept: {accept[:24]!r}", content, {"Accept": accept})


def uploads(dice: int = 8, every: int = 1) -> list[Hostile]:
    """All of them; `dice` damaged ones of each format, and of the generated ones one of so many of each kind."""
    generated = [upload for kind in (names_and_charsets, heavy_poses) for upload in list(kind())[::every]]
    return [
        *generated,
        *bombs(), *shapes(), *truncated(), *polyglots(), *wrong_types(), *moving(), *damaged(dice), *metadata(),
        *unusual(), *forms(), *poses(), *queries(),
    ]  # fmt: skip
