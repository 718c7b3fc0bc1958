"""Sections 1 and 4: what angles see, and what only lengths see."""

from pathlen import SIZES, below, claim, largest, spearman, strongest

LEAVES_A_TENTH = below(0.95)  # a rank correlation of 0.95 leaves 10 % of the variance of ranks unexplained


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


@claim(
    sizes=SIZES,
    section="4",
    expect=LEAVES_A_TENTH,
    not_shown="that both views are worth having; two unrelated numbers would be complementary too",
)
def test_complementary(measured):
    """Step length and turning angle are complementary views: at no block does one tell the other's rank."""
    return strongest(spearman(measured.step_length, measured.turning_angle, passage=measured.passage, trend=0))
