"""The outputs of a block's attention and MLP: nearly orthogonal to each other, and the MLP determines how far a token moves.

The path length of one part is the sum over blocks of the norm of its output.
"""

from numpy import abs as absolute

from pathlen import SIZES, UNTRAINED, above, at_depth, below, claim, mean, pearson, within

ABOUT_ZERO = within(-0.1, 0.1)  # within six degrees of a right angle
WITHIN_12_DEGREES = below(0.2)


@claim(
    sizes=SIZES,
    section="orthogonality",
    expect=ABOUT_ZERO,
    controls=[UNTRAINED],
    not_shown="that each pair is so; cosines of opposite sign cancel in a mean, which the next claim rules out",
)
def test_orthogonal_on_average(measured):
    """In the middle blocks, what attention adds and what the MLP adds are nearly orthogonal on average."""
    return mean(at_depth(measured.attention_mlp_cosine, "middle half"), passage=measured.passage)


@claim(
    sizes=SIZES,
    section="orthogonality",
    expect=WITHIN_12_DEGREES,
    controls=[UNTRAINED],
    not_shown="that anything made them so; in many dimensions unrelated directions are nearly orthogonal anyway",
)
def test_orthogonal_each(measured):
    """In the middle blocks the two are nearly orthogonal token by token: the cosine's size is below 0.2 on average."""
    return mean(at_depth(absolute(measured.attention_mlp_cosine), "middle half"), passage=measured.passage)


@claim(
    sizes=SIZES,
    section="whose path",
    expect=above(0.0),
    controls=[UNTRAINED],
    not_shown="that the MLP drives the block; the longer of two parts goes with their sum whatever they do",
)
def test_mlp_sets_the_way(measured):
    """Over tokens, the MLP's path length goes with the block's more closely than attention's does."""
    way = measured.total_length
    mlp = pearson(measured.mlp_norm.sum(axis=0), way, passage=measured.passage)
    return mlp.minus(pearson(measured.attention_norm.sum(axis=0), way, passage=measured.passage))
