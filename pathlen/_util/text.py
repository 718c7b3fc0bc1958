"""Words that come from elsewhere, made safe to show: what has no shape of its own is named, and nothing turns the line around.

Claims, names of texts and paths are other people's. Escaping keeps them from being markup; a control character or a
right-to-left override is no markup, and would still show a reader something else than what stands in the record.
"""

from __future__ import annotations

import unicodedata

__all__ = ["visible"]

WHITE_SPACE = "\n\t"
TURNING = {
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
    0x061C,
    0x200E,
    0x200F,
}  # they change the direction of what follows
HIDDEN = ("Cc", "Cs", "Cn", "Zl", "Zp")


def visible(text: str) -> str:
    r"""Return a text in which controls, overrides of direction, and what is no character are named between brackets.

    Examples
    --------
    >>> visible("a\u202eb"), visible("a\x1b[31m"), visible("gi\u00e1 tr\u1ecb\n")
    ('a⟨U+202E⟩b', 'a⟨U+001B⟩[31m', 'giá trị\n')

    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"⟨U+{ord(letter):04X}⟩"
        if letter not in WHITE_SPACE and (ord(letter) in TURNING or unicodedata.category(letter) in HIDDEN)
        else letter
        for letter in text
    )
