"""Untrusted text made safe to show: invisible characters are named, and none can reverse the line.

Claims, names of texts and paths are written by others. Escaping keeps them from being markup. A control character or a
right-to-left override is no markup, yet it would show a reader something other than what the record holds.
"""

from __future__ import annotations

import unicodedata

__all__ = ["visible"]

WHITE_SPACE = "\n\t"
# Change the direction of what follows.
DIRECTIONAL = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x061C, 0x200E, 0x200F}
HIDDEN = ("Cc", "Cs", "Cn", "Zl", "Zp")  # Unicode categories


def visible(text: str) -> str:
    r"""Return a text in which control characters, direction overrides and unassigned code points are named in brackets.

    Examples
    --------
    >>> visible("a\u202eb"), visible("a\x1b[31m"), visible("gi\u00e1 tr\u1ecb\n")
    ('a⟨U+202E⟩b', 'a⟨U+001B⟩[31m', 'giá trị\n')

    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"⟨U+{ord(letter):04X}⟩"
        if letter not in WHITE_SPACE and (ord(letter) in DIRECTIONAL or unicodedata.category(letter) in HIDDEN)
        else letter
        for letter in text
    )
