"""Sections 1 and 2.1: the definition of path length, and what it measures that an angle does not.

The first claim checks the instrument and says nothing about any network. Lengths are computed by hooks during the forward
pass, without storing states; they must equal those of a plain double loop over stored states.
"""

from pathlen import SHIFTED, SIZES, below, claim, largest


@claim(
    sizes=SIZES,
    section="2.1",
    expect=below(1e-5),
    controls=[SHIFTED],
    not_shown="anything about a network, only that this instrument measures what the document defines",
)
def test_definition(relative_error):
    """Path length adds up the Euclidean norms of the differences of consecutive states, every token, every block."""
    return largest(relative_error)


@claim(
    sizes=SIZES,
    section="1",
    expect=below(1e-5),
    true_by_construction="the law of cosines: a squared step is the squared change of length plus what turning adds",
    not_shown="anything about a network, only that stretching is the part of a step that an angle leaves out",
)
def test_angle_blind(measured):
    """Rotation angle does not see stretching: a step is made of turning and of a change of length."""
    return largest(measured.stretch_error)
