"""Pictures on the web tell nothing but what they show: no place, no time, no device, no comment."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import sync_playwright

from bot.metadata import without_metadata

IMAGES = Path(__file__).parents[1] / "queue" / "images"
SECRET = b"Taken at 13.7563N 100.5018E by Somchai"


def exif(turned: int = 1, order: str = ">") -> bytes:
    mark = b"MM\0*" if order == ">" else b"II*\0"
    entries = struct.pack(order + "HHIHH", 0x0112, 3, 1, turned, 0)
    entries += struct.pack(order + "HHII", 0x8298, 2, len(SECRET), 100)
    return mark + struct.pack(order + "IH", 8, 2) + entries + b"\0\0\0\0" + SECRET


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png() -> bytes:
    head = struct.pack(">IIBBBBB", 2, 3, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes((200, 30, 30)) * 2 for _ in range(3)))
    chunks = (
        png_chunk(b"IHDR", head),
        png_chunk(b"tEXt", b"Comment\0" + SECRET),
        png_chunk(b"eXIf", exif()),
        png_chunk(b"tIME", b"\x07\xea\x0b\x14\x02\0\0"),
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + SECRET),
        png_chunk(b"IDAT", rows),
        png_chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + SECRET


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


# 16 by 8 pixels, grey, by Chromium's own encoder.
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/4gHYSUNDX1BST0ZJTEUAAQEAAAHIAAAAAAQwAABtbnRyUkdCIFhZWiAH4AABAAEAAAAAAABh"
    "Y3NwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAQAA9tYAAQAAAADTLQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAAAAAAAAAAAAAAAAAAAAAAAAlkZXNjAAAA8AAAACRyWFlaAAABFAAAABRnWFlaAAABKAAAABRiWFlaAAABPAAAABR3dHB0AAAB"
    "UAAAABRyVFJDAAABZAAAAChnVFJDAAABZAAAAChiVFJDAAABZAAAAChjcHJ0AAABjAAAADxtbHVjAAAAAAAAAAEAAAAMZW5VUwAA"
    "AAgAAAAcAHMAUgBHAEJYWVogAAAAAAAAb6IAADj1AAADkFhZWiAAAAAAAABimQAAt4UAABjaWFlaIAAAAAAAACSgAAAPhAAAts9Y"
    "WVogAAAAAAAA9tYAAQAAAADTLXBhcmEAAAAAAAQAAAACZmYAAPKnAAANWQAAE9AAAApbAAAAAAAAAABtbHVjAAAAAAAAAAEAAAAM"
    "ZW5VUwAAACAAAAAcAEcAbwBvAGcAbABlACAASQBuAGMALgAgADIAMAAxADb/2wBDAFA3PEY8MlBGQUZaVVBfeMiCeG5uePWvuZHI"
    "////////////////////////////////////////////////////2wBDAVVaWnhpeOuCguv/////////////////////////////"
    "////////////////////////////////////////////wAARCAAIABADASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAH/"
    "xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QAFAEBAAAAAAAAAAAAAAAAAAAAAP/EABQRAQAAAAAAAAAAAAAAAAAAAAD/2gAMAwEAAhED"
    "EQA/AKAD/9k="
)


def jpeg(turned: int = 1, order: str = ">") -> bytes:
    """With everything that a telephone adds, and a second picture behind the first."""
    added = (
        segment(0xE1, b"Exif\0\0" + exif(turned, order)),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + SECRET),
        segment(0xED, b"Photoshop 3.0\0" + SECRET),
        segment(0xE2, b"MPF\0" + SECRET),
        segment(0xFE, SECRET),
    )
    return JPEG[:2] + b"".join(added) + JPEG[2:] + JPEG + SECRET


def gif() -> bytes:
    table = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\xc8\x1e\x1e\0\0\0"
    comment = b"\x21\xfe" + bytes([len(SECRET)]) + SECRET + b"\0"
    xmp = b"\x21\xff\x0bXMP DataXMP" + bytes([len(SECRET)]) + SECRET + b"\0"
    plays = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
    return table + comment + xmp + plays + b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0;" + SECRET


def webp() -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)

    shown = base64.b64decode("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")[12:]
    head = chunk(b"VP8X", bytes([0b1100, 0, 0, 0, 0, 0, 0, 0, 0, 0]))
    body = b"WEBP" + head + shown + chunk(b"EXIF", exif()) + chunk(b"XMP ", SECRET)
    return b"RIFF" + struct.pack("<I", len(body)) + body + SECRET


PICTURES = {"png": png(), "jpeg": jpeg(), "gif": gif(), "webp": webp()}


def cleaned(content: bytes) -> bytes:
    found = without_metadata(content)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", PICTURES)
def test_nothing_is_left_of_what_was_written_into_it(kind: str) -> None:
    """Nor of what hides behind its end."""
    assert SECRET in PICTURES[kind]

    assert b"13.7563N" not in cleaned(PICTURES[kind])
    assert b"Somchai" not in cleaned(PICTURES[kind])


@pytest.mark.parametrize("kind", PICTURES)
def test_cleaning_twice_changes_nothing_more(kind: str) -> None:
    once = cleaned(PICTURES[kind])

    assert cleaned(once) == once


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("turned", [3, 6, 8])
def test_a_picture_does_not_fall_over(turned: int, order: str) -> None:
    """How the camera was held is kept, alone."""
    clean = cleaned(jpeg(turned, order))

    assert clean.count(b"Exif\0\0") == 1
    assert clean[clean.index(b"Exif\0\0") + 6 :].startswith(
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([turned])
    )


def test_pictures_without_such_things_stay_as_they_are() -> None:
    for path in sorted(IMAGES.glob("*.png")):
        assert without_metadata(path.read_bytes()) == path.read_bytes()
    assert without_metadata(JPEG) == JPEG


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_a_browser_still_shows_them() -> None:
    """All four kinds, and the turned one upright: 8 by 16."""
    shown = {**PICTURES, "turned": jpeg(6)}
    kinds = {"turned": "jpeg"}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        sizes = {}
        for name, content in shown.items():
            data = base64.b64encode(cleaned(content)).decode()
            sizes[name] = page.evaluate(
                """url => new Promise(done => { const image = new Image();
                   image.onload = () => done([image.naturalWidth, image.naturalHeight]);
                   image.onerror = () => done('broken'); image.src = url; })""",
                f"data:image/{kinds.get(name, name)};base64,{data}",
            )
        browser.close()

    assert sizes == {"png": [2, 3], "jpeg": [16, 8], "gif": [1, 1], "webp": [1, 1], "turned": [8, 16]}


@given(st.sampled_from(sorted(PICTURES)), st.integers(1, 60))
def test_a_picture_that_is_cut_off_is_refused(kind: str, cut: int) -> None:
    """Half understood is not understood."""
    whole = cleaned(PICTURES[kind])

    assert without_metadata(whole[: -min(cut, len(whole) - 20)]) is None


@given(st.sampled_from(sorted(PICTURES)), st.data())
def test_whatever_bytes_come_there_is_an_answer(kind: str, data: st.DataObject) -> None:
    """Damaged pictures end in None or in bytes, never in an error, never in an endless loop."""
    content = bytearray(PICTURES[kind])
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        content[place] = data.draw(st.integers(0, 255))

    assert without_metadata(bytes(content)) is None or isinstance(without_metadata(bytes(content)), bytes)
