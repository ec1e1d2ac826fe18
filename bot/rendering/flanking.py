"""Where "**" may open or close in languages that write no spaces between words.

CommonMark decides by the characters beside the mark (section 6.2, "left-flanking"): a mark between a bracket
and a letter cannot close, since in English a space would stand there. In Chinese, Japanese, Korean and the
languages of South-East Asia none does, and "**「強制労働」**が" keeps its stars. The rule here is the one of
"markdown-cjk-friendly" (https://github.com/tats-u/markdown-cjk-friendly, specification.md): a letter or a
mark of such a script beside the run counts as a space would. "_" is left as it is.
"""

from __future__ import annotations

import regex
from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Scanned

# Ideographs, kana, hangul, their punctuation and full-width forms; Thai, Lao, Khmer, Burmese (Line_Break SA).
_UNSPACED = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Hangul}\p{Line_Break=SA}\u3000-\u303f\uff01-\uff60\uffe0-\uffe6]"
)


class UnspacedState(StateInline):
    """CommonMark's state with the wider rule for "*" and "~"."""

    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: N802, N803 - the library's names
        scanned = super().scanDelims(start, canSplitWord)
        if not canSplitWord:
            return scanned
        end = start + scanned.length
        before = self.src[start - 1] if start else " "
        after = self.src[end] if end < self.posMax else " "
        if not (_UNSPACED.match(before) or _UNSPACED.match(after)):
            return scanned
        return Scanned(
            scanned.can_open or (not isWhiteSpace(ord(after)) and _flanks(after, before)),
            scanned.can_close or (not isWhiteSpace(ord(before)) and _flanks(before, after)),
            scanned.length,
        )


def _flanks(near: str, far: str) -> bool:
    """Whether a run belongs to the character ``near``, with ``far`` on its other side."""
    return not (isMdAsciiPunct(ord(near)) or isPunctChar(near)) or bool(
        _UNSPACED.match(near) or _UNSPACED.match(far)
    )
