"""The publication's colour where it must be read: contrast as WCAG 2 measures it."""

from __future__ import annotations

from bot.model import hex_color

READABLE = 4.5  # WCAG 2.2, 1.4.3, for text of ordinary size
_STEPS = 100


def contrast(one: str, other: str) -> float:
    """From 1 (the same) to 21 (black and white)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def readable(color: str, *grounds: str) -> str:
    """The colour, as much darker or lighter as it takes to be read on all of these grounds.

    ValueError when neither black nor white can be read on all of them.
    """
    color = hex_color(color)
    for step in range(_STEPS + 1):
        for end in ("#000000", "#ffffff"):
            shade = _mixed(color, end, step / _STEPS)
            if all(contrast(shade, ground) >= READABLE for ground in grounds):
                return shade
    raise ValueError(f"no shade of {color} can be read on {', '.join(grounds)}")


def text_on(color: str) -> str:
    """Black or white: what is read better on this ground. One of them always reaches 4.5."""
    return max("#ffffff", "#000000", key=lambda text: contrast(text, color))


def _luminance(color: str) -> float:
    red, green, blue = (_linear(part / 255) for part in _parts(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4


def _mixed(color: str, end: str, share: float) -> str:
    parts = zip(_parts(color), _parts(end), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in parts)


def _parts(color: str) -> tuple[int, int, int]:
    digits = hex_color(color)[1:]
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)
