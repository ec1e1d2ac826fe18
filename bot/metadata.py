"""A picture without what its camera and programs wrote into it: place, time, device, names, comments.

The picture itself is not encoded anew: its pixels stay as they are, to the byte. A JPEG keeps the one word
that says how the camera was held, else it would lie on its side. What cannot be understood gives None.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_TELLS = frozenset({b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME"})
_WEBP_TELLS = frozenset({b"EXIF", b"XMP "})
_WEBP_FLAGS = 0b00001100  # of VP8X: "has EXIF", "has XMP"
_APP0, _APP1, _APP2, _APP14, _COMMENT, _SCAN, _END = 0xE0, 0xE1, 0xE2, 0xEE, 0xFE, 0xDA, 0xD9
_ORIENTATION = 0x0112

# Whoever shows a picture needs four bytes for each of its pixels, however few bytes the file has. The
# largest photographs of today's telephones (8,160 x 6,120) fit.
MAX_PIXELS = 50_000_000


def without_metadata(content: bytes) -> bytes | None:
    """The same picture and nothing else; None when it is not a whole picture of its kind."""
    clean = {"image/png": _png, "image/jpeg": _jpeg, "image/gif": _gif, "image/webp": _webp}
    kind = mime_type(content)
    try:
        return clean[kind](content) if kind else None
    except (struct.error, IndexError, ValueError):
        return None


def mime_type(content: bytes) -> str:
    """By the first bytes, never by the name; "" when it is none of the four that every mail client shows."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "image/webp"
    return ""


def size_in_pixels(content: bytes) -> tuple[int, int]:
    """Width and height as the headers claim them, without decoding anything; (0, 0): not told.

    Where a file says it more than once, the largest of each: what shows it may believe any of them.
    """
    told = {
        "image/png": _png_size,
        "image/jpeg": _jpeg_size,
        "image/gif": _gif_size,
        "image/webp": _webp_size,
    }
    kind = mime_type(content)
    sizes: list[tuple[int, int]] = []
    with suppress(struct.error, IndexError, ValueError):  # cut off: what was told before that counts
        sizes.extend(told[kind](content) if kind else ())
    return max((w for w, _ in sizes), default=0), max((h for _, h in sizes), default=0)


def to_publish(path: Path) -> bytes:
    """The file as it may go out. One that cannot be understood goes as it is: what shows it can tell more."""
    content = path.read_bytes()
    return without_metadata(content) or content


# --------------------------------------------------------------------------- PNG, WebP: chunks with a name


def _png(content: bytes) -> bytes:
    parts, place = [_PNG], len(_PNG)
    while place < len(content):
        (length,) = struct.unpack_from(">I", content, place)
        name, end = content[place + 4 : place + 8], place + 12 + length
        if end > len(content):
            raise ValueError("cut off")
        if name not in _PNG_TELLS:
            parts.append(content[place:end])
        place = end
        if name == b"IEND":  # some programs hide things behind it
            return b"".join(parts)
    raise ValueError("no end")


def _webp(content: bytes) -> bytes:
    (length,) = struct.unpack_from("<I", content, 4)
    if length + 8 > len(content):
        raise ValueError("cut off")
    kept = b"".join(_webp_chunks(content[: length + 8]))
    return b"RIFF" + struct.pack("<I", len(kept) + 4) + b"WEBP" + kept


def _webp_chunks(content: bytes) -> Iterator[bytes]:
    place = 12
    while place < len(content):
        name = content[place : place + 4]
        (length,) = struct.unpack_from("<I", content, place + 4)
        end = place + 8 + length + length % 2
        if end > len(content):
            raise ValueError("cut off")
        chunk = content[place:end]
        if name == b"VP8X":
            chunk = chunk[:8] + bytes([chunk[8] & ~_WEBP_FLAGS]) + chunk[9:]
        if name not in _WEBP_TELLS:
            yield chunk
        place = end


# --------------------------------------------------------------------------- JPEG: segments with a marker


def _jpeg(content: bytes) -> bytes:
    parts, place, turned = [content[:2]], 2, 1
    while True:
        if content[place] != 0xFF:
            raise ValueError("no marker")
        marker = content[place + 1]
        if marker == 0xFF:  # padding
            place += 1
            continue
        (length,) = struct.unpack_from(">H", content, place + 2)
        end = place + 2 + length
        if length < 2 or end > len(content):
            raise ValueError("cut off")
        if marker == _SCAN:
            break
        segment = content[place:end]
        if marker == _APP1:
            turned = max(turned, _orientation(segment))
        elif _jpeg_keeps(marker, segment):
            parts.append(segment)
        place = end
    scans = content[place : _end_of_scans(content, place)]
    return b"".join([parts[0], *([_exif(turned)] if turned > 1 else []), *parts[1:], scans])


def _jpeg_keeps(marker: int, segment: bytes) -> bool:
    """What is needed to show it: tables and frames, the colours' profile, Adobe's word on colours."""
    if marker == _APP2:
        return segment[4:].startswith(b"ICC_PROFILE\0")
    return marker in (_APP0, _APP14) or not (_APP0 <= marker <= 0xEF or marker == _COMMENT)


def _end_of_scans(content: bytes, place: int) -> int:
    """After the end of the picture a phone may append a film or a second picture with all its data."""
    place += struct.unpack_from(">H", content, place + 2)[0] + 1
    while True:
        place = content.index(0xFF, place + 1)
        marker = content[place + 1]
        if marker == _END:
            return place + 2
        if marker not in (0x00, 0xFF) and not 0xD0 <= marker <= 0xD7:
            if _APP0 <= marker <= 0xEF or marker == _COMMENT:
                raise ValueError("a note between the scans")
            place += struct.unpack_from(">H", content, place + 2)[0] + 1


def _orientation(segment: bytes) -> int:
    """1 to 8 from the first directory of an Exif segment; 1 where it says nothing."""
    if segment[4:10] != b"Exif\0\0" or len(segment) < 18:
        return 1
    tiff = segment[10:]
    order = "<" if tiff[:2] == b"II" else ">"
    try:
        (at,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, at)
        for entry in range(at + 2, at + 2 + 12 * min(count, 200), 12):
            tag, _kind, _count, value = struct.unpack_from(order + "HHIH", tiff, entry)
            if tag == _ORIENTATION and 1 <= value <= 8:
                return int(value)
    except struct.error:
        pass
    return 1


def _exif(turned: int) -> bytes:
    """The smallest Exif segment that says how the camera was held."""
    entry = struct.pack(">HHIHH", _ORIENTATION, 3, 1, turned, 0)
    body = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + struct.pack(">I", 0)
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body


# --------------------------------------------------------------------------- GIF: blocks


def _gif(content: bytes) -> bytes:
    place = 13 + _table(content[10])
    parts = [content[:place]]
    while content[place] != 0x3B:
        begin = place
        if content[place] == 0x21:
            tells = _gif_tells(content[place : place + 14])
            place = _after_blocks(content, place + 2)
        elif content[place] == 0x2C:
            tells = False
            place = _after_blocks(content, place + 11 + _table(content[place + 9]))
        else:
            raise ValueError("no block")
        if not tells:
            parts.append(content[begin:place])
    return b"".join([*parts, b"\x3b"])


def _gif_tells(start: bytes) -> bool:
    """Comments, plain text, and applications but the one that says how often it plays."""
    if start[1] == 0xFF:
        return start[3:14] not in (b"NETSCAPE2.0", b"ANIMEXTS1.0")
    return start[1] in (0xFE, 0x01)


def _table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(content: bytes, place: int) -> int:
    while content[place]:
        place += content[place] + 1
    return place + 1


# --------------------------------------------------------------------------- sizes


def _png_size(content: bytes) -> Iterator[tuple[int, int]]:
    yield struct.unpack_from(">II", content, 16)


def _jpeg_size(content: bytes) -> Iterator[tuple[int, int]]:
    """Of each frame header (SOF); fill bytes and other segments are stepped over."""
    place = 2
    while content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", content, place + 5)
            yield width, height
        if marker == _SCAN:
            return
        bare = marker == 0x01 or 0xD0 <= marker <= 0xD8  # markers without a length
        place += 2 if bare else 2 + struct.unpack_from(">H", content, place + 2)[0]


def _gif_size(content: bytes) -> Iterator[tuple[int, int]]:
    """Of the screen and of each picture on it."""
    yield struct.unpack_from("<HH", content, 6)
    place = 13 + _table(content[10])
    while content[place] in (0x21, 0x2C):
        if content[place] == 0x2C:
            yield struct.unpack_from("<HH", content, place + 5)
            place = _after_blocks(content, place + 11 + _table(content[place + 9]))
        else:
            place = _after_blocks(content, place + 2)


def _webp_size(content: bytes) -> Iterator[tuple[int, int]]:
    """Of the canvas and of each picture on it: RFC 9649, RFC 6386 section 9.1."""
    place = 12
    while place < len(content):
        name = content[place : place + 4]
        (length,) = struct.unpack_from("<I", content, place + 4)
        data = place + 8
        if name == b"VP8X":
            yield _u24(content, data + 4) + 1, _u24(content, data + 7) + 1
        elif name == b"ANMF":
            yield _u24(content, data + 6) + 1, _u24(content, data + 9) + 1
        elif name == b"VP8L":
            (bits,) = struct.unpack_from("<I", content, data + 1)
            yield (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        elif name == b"VP8 ":
            width, height = struct.unpack_from("<HH", content, data + 6)
            yield width & 0x3FFF, height & 0x3FFF
        place = data + length + length % 2


def _u24(content: bytes, place: int) -> int:
    return int.from_bytes(content[place : place + 3], "little")
