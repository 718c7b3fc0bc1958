"""Section 3.1: the path grows steadily through the blocks, and energy is pumped in throughout.

A cumulative length always grows, because it is a sum of lengths. That reading is a separate claim, labelled as true by
construction. The other claims could be false: that tokens get farther from where they started, that late steps are as
long as early ones, that residual norms rise overall.

The control is an untrained network: whatever it shows too is not due to training. Shuffling a text's tokens is no
control here, because none of these sentences depends on word order.
"""

from pathlen import SIZES, UNTRAINED, above, below, claim, every, log_slope, mean, ratio, share, variation, within

MOST_BLOCKS = above(0.9)  # nine blocks in ten: "keeps growing" allows few exceptions
EQUAL_HALVES = within(1 / 1.25, 1.25)  # a deviation of a quarter either way still looks like a straight line


@claim(
    sizes=SIZES,
    section="3.1",
    expect=above(0.99),
    true_by_construction="a sum of lengths grows with every length added, in any network and for random numbers too",
    not_shown="anything, since no network could have refuted it",
)
def test_path_grows(measured):
    """The cumulative path length grows with every block."""
    return every(measured.path_grows)


@claim(
    sizes=SIZES,
    section="3.1",
    expect=above(0.95),
    controls=[UNTRAINED],
    not_shown="that steps are alike; a cumulative sum of any lengths is nearly straight",
)
def test_path_straight(measured):
    """The cumulative path length is a straight line over the blocks: R squared above 0.95 for the average token."""
    return mean(measured.path_straightness, passage=measured.passage)


@claim(
    sizes=SIZES,
    section="3.1",
    expect=MOST_BLOCKS,
    controls=[UNTRAINED],
    not_shown="that every token does so at every block; nine pairs in ten are asked for",
)
def test_grows(measured):
    """From block to block, tokens keep getting farther away from where they started."""
    return share(measured.displacement_grows, passage=measured.passage)


@claim(
    sizes=SIZES,
    section="3.1",
    expect=MOST_BLOCKS,
    controls=[UNTRAINED],
    not_shown="anything about the last block, since its published state lies beyond the final norm",
)
def test_grows_as_published(as_published):
    """From block to block, tokens keep getting farther away from where they started."""
    return share(as_published.displacement_grows, passage=as_published.passage)


@claim(
    sizes=SIZES,
    section="3.1",
    expect=EQUAL_HALVES,
    controls=[UNTRAINED],
    not_shown="that each single block moves tokens by the same length, since only the two halves are compared",
)
def test_linear(measured):
    """The path grows linearly: late blocks move tokens about as far as early ones do."""
    return ratio(measured.late_steps, measured.early_steps, passage=measured.passage)


@claim(
    sizes=SIZES,
    section="3.1",
    expect=EQUAL_HALVES,
    controls=[UNTRAINED],
    not_shown="anything about the last block, since its published step contains the final norm",
)
def test_linear_as_published(as_published):
    """The path grows linearly: late blocks move tokens about as far as early ones do."""
    return ratio(as_published.late_steps, as_published.early_steps, passage=as_published.passage)


@claim(
    sizes=SIZES,
    section="3.1",
    expect=above(0.0),
    controls=[UNTRAINED],
    not_shown="that the norm rises at every block; sums of independent vectors grow too",
)
def test_energy(measured):
    """Energy is pumped in: over all blocks together, the norm of the residual stream rises."""
    return log_slope(measured.residual_norm, passage=measured.passage)


@claim(
    sizes=SIZES,
    section="3.1",
    expect=above(0.0),
    controls=[UNTRAINED],
    not_shown="anything about the last block, since its published state lies beyond the final norm",
)
def test_energy_as_published(as_published):
    """Energy is pumped in: over all blocks together, the norm of the residual stream rises."""
    return log_slope(as_published.residual_norm, passage=as_published.passage)


@claim(
    sizes=SIZES,
    section="3.1",
    expect=below(0.2),
    controls=[UNTRAINED],
    not_shown="that tokens go the same way; only the lengths of their ways are compared",
)
def test_uniform(measured):
    """Tokens move together: the whole lengths of their ways differ by less than a fifth of their mean."""
    return variation(measured.total_length, passage=measured.passage)


@claim(
    sizes=SIZES,
    section="3.1",
    expect=above(0.0),
    controls=[UNTRAINED],
    not_shown="that tokens have places of their own; whatever adds independent vectors spreads them out",
)
def test_no_centre(measured):
    """Tokens are never gathered at a centre: over all blocks together, they get farther from their common mean."""
    return log_slope(measured.centroid_distance, passage=measured.passage)
