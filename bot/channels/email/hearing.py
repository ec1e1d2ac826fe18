"""Bytes from a mail server become its answers: split over packets, several at once, over several lines."""

from __future__ import annotations

from collections.abc import Iterator

LONGEST_ANSWER = 32_768  # bytes; one that goes on and on must not fill the memory


class Hearing:
    """What was heard so far of one conversation."""

    def __init__(self) -> None:
        self.partial = b""  # the beginning of a line
        self.nonsense: bytes | None = None  # the first line that is no answer: nothing is understood after it
        self._lines: list[bytes] = []  # of an answer that goes on
        self._size = 0  # bytes of those, and one for each

    @property
    def is_amid(self) -> bool:
        """True in the middle of an answer."""
        return bool(self.partial or self._lines)

    def answers(self, data: bytes) -> list[tuple[int, bytes]]:
        """The answers that these bytes complete: code and words, lines parted by a line feed."""
        lines = (self.partial + data if self.partial else data).split(b"\n")
        self.partial = lines.pop()
        if len(self.partial) > LONGEST_ANSWER:
            self.nonsense = self.partial
        return list(self._understood(lines))

    def _understood(self, lines: list[bytes]) -> Iterator[tuple[int, bytes]]:
        for line in lines:
            code, mark = line[:3], line[3:4]
            if len(code) < 3 or not code.isdigit() or not b"200" <= code < b"600" or mark not in b" -\r":
                self.nonsense = line
                return
            if self._lines or mark == b"-":
                self._lines.append(line)
                self._size += len(line) + 1
                if not self._fits(code):
                    self.nonsense = line
                    return
                if mark != b"-":
                    whole, self._lines, self._size = self._lines, [], 0
                    yield int(code), b"\n".join(one[4:] for one in whole)
            else:
                yield int(code), line[4:]

    def _fits(self, code: bytes) -> bool:
        return code == self._lines[0][:3] and self._size <= LONGEST_ANSWER
