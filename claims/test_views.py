"""Section 4: path length and rotation, two views of one way."""

from pathlen import SIZES, below, claim, spearman, strongest

LEAVES_A_TENTH = below(0.95)  # a rank correlation of 0.95 leaves 10 % of the variance of ranks unexplained


@claim(
    sizes=SIZES,
    section="4",
    expect=LEAVES_A_TENTH,
    not_shown="that both views are worth having; two unrelated numbers would be complementary too",
)
def test_complementary(measured):
    """Step length and turning angle are complementary views: at no block does one tell the other's rank."""
    return strongest(spearman(measured.step_length, measured.turning_angle, passage=measured.passage, trend=0))
