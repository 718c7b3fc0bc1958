"""Angles between tokens: pairs sit at 70 to 80 degrees, and the first token is an outlier.

No column of the catalog holds these numbers, so both are custom columns, computed from the states during the forward pass
and not stored. A text longer than the model's context is read in windows; pairs and "the first token" are then those of a
window.
"""

from numpy import degrees

from pathlen import SIZES, UNTRAINED, above, at_depth, claim, mean, measures, within

PAIRS = within(70.0, 80.0)
THREE_TIMES = above(3.0)  # reported as hundreds of times in GPT-2; three times is an outlier anywhere


@measures(at="state", unit="radians")
def angle_to_others(states):
    """The mean angle between a token's state and those of the other tokens of its text."""
    unit = states / states.norm(dim=-1, keepdim=True)
    angles = (unit @ unit.T).clamp(-1, 1).arccos()
    return (angles.sum(dim=-1) - angles.diagonal()) / max(1, len(states) - 1)


@measures(at="state", unit="1")
def first_over_own(states):
    """How many times as long as a token's state the first token's is."""
    length = states.norm(dim=-1)
    return length[0] / length


@claim(
    sizes=SIZES,
    section="pairs of tokens",
    expect=PAIRS,
    controls=[UNTRAINED],
    not_shown="that pairs of different texts lie so; the pairs here are of one text each",
)
def test_pairs_sit_wide(measured):
    """In the middle of the network, random pairs of tokens sit at 70 to 80 degrees."""
    return mean(degrees(at_depth(measured.angle_to_others, "middle half")), passage=measured.passage)


@claim(
    sizes=SIZES,
    section="first token",
    expect=THREE_TIMES,
    controls=[UNTRAINED],
    not_shown="why; an attention sink would be one reason among several",
)
def test_first_is_an_outlier(measured):
    """The first token is an outlier: in the middle of the network at least three times as long as the others."""
    return mean(at_depth(measured.first_over_own, "middle half"), passage=measured.passage)
