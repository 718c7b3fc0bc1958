"""How far a block turns a token: about a right angle at the first block, little in the middle, more again near the exit.

An angle is that between a token's states before and after a block; the final norm is left out. The control is an untrained
network: whatever it shows too is not due to training.
"""

from numpy import degrees

from pathlen import SIZES, UNTRAINED, at_depth, below, claim, mean, ratio, within

RIGHT_ANGLE = within(75.0, 105.0)  # fifteen degrees either way
HALF_AS_MUCH = below(0.5)  # "small" compared with the first block: less than half of its angle
MORE_THAN_MIDDLE = below(1.0)


@claim(
    sizes=SIZES,
    section="first block",
    expect=RIGHT_ANGLE,
    controls=[UNTRAINED],
    not_shown="that each token turns so far; it is the average that is asked for",
)
def test_first_block_turns_square(measured):
    """The first block turns tokens by about a right angle."""
    return mean(degrees(at_depth(measured.turning_angle, "first")), passage=measured.passage)


@claim(
    sizes=SIZES,
    section="middle blocks",
    expect=HALF_AS_MUCH,
    controls=[UNTRAINED],
    not_shown="that the middle blocks do little; a long vector turns little however much is added to it",
)
def test_middle_turns_little(measured):
    """In the middle blocks the angle is small: less than half of the first block's."""
    middle, first = (at_depth(measured.turning_angle, part) for part in ("middle half", "first"))
    return ratio(middle, first, passage=measured.passage)


@claim(
    sizes=SIZES,
    section="exit",
    expect=MORE_THAN_MIDDLE,
    controls=[UNTRAINED],
    not_shown="that the final norm, which only stretches, has a part in it",
)
def test_exit_turns_more(measured):
    """Near the exit the angle is larger again: the middle blocks turn tokens by less than the last quarter does."""
    middle, late = (at_depth(measured.turning_angle, part) for part in ("middle half", "last quarter"))
    return ratio(middle, late, passage=measured.passage)
