"""Section 4: path length and rotation as two views of the same path, and models of different sizes."""

from pathlen import (
    LAST_STEP_AND_NEXT_TOKEN,
    SHIFTED,
    SHUFFLED,
    SIZES,
    UNTRAINED,
    above,
    below,
    claim,
    pearson,
    spearman,
    strongest,
)

LEAVES_A_TENTH = below(0.95)  # a rank correlation of 0.95 leaves 10 % of the variance of the ranks unexplained
MORE_THAN_NOTHING = above(0.1)  # in units of Fisher's z; the margin that "about zero" allows on either side


@claim(
    sizes=SIZES,
    section="4",
    expect=LEAVES_A_TENTH,
    controls=[UNTRAINED],
    not_shown="that both views are worth having; two unrelated numbers would be complementary too",
)
def test_complementary(measured):
    """Step length and turning angle are complementary views: at no block does one tell the other's rank."""
    return strongest(spearman(measured.step_length, measured.turning_angle, passage=measured.passage, trend=0))


@claim(
    sizes=SIZES,
    section="4",
    expect=MORE_THAN_NOTHING,
    logic="differs",
    controls=[UNTRAINED, SHUFFLED, SHIFTED],
    universes=LAST_STEP_AND_NEXT_TOKEN,
    not_shown="which sizes differ, or that it is size that makes them differ",
)
def test_sizes_differ(measured):
    """Models of different size distribute the signal differently: last step and next logit relate otherwise in each."""
    return pearson(measured.last_step, measured.next_logit, passage=measured.passage)
