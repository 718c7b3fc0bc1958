"""Section 3.2: whether a block's parallel heads offset each other.

A sum of vectors is never longer than the sum of their lengths: that is the triangle inequality, and its claim is labelled
as true by construction. What could be false is that heads offset each other, i.e. that their sum is shorter than that of
unrelated directions with the same lengths. The document only suspects this, and only of XL.
"""

from pathlen import SIZES, UNTRAINED, XL, above, below, claim, every, head_cancellation


@claim(
    sizes=SIZES,
    section="3.2",
    expect=above(0.99),
    true_by_construction="the triangle inequality: a sum of vectors is never longer than the sum of their lengths",
    not_shown="anything, since no network could have refuted it",
)
def test_heads_shorten(measured):
    """What the heads of a block add together is at most as long as what they add one by one."""
    return every(measured.heads_shorten)


@claim(
    sizes=[XL],
    section="3.2",
    expect=below(1.0),
    controls=[UNTRAINED],
    exploratory=True,
    not_shown="that what they offset is noise",
)
def test_heads_cancel(measured):
    """In XL, heads offset each other: in the last quarter of blocks their sum is shorter than unrelated heads' would be."""
    return head_cancellation(measured.late_heads_norm, measured.late_head_norm, passage=measured.passage)


@claim(
    sizes=[XL],
    section="3.2",
    expect=below(0.0),
    controls=[UNTRAINED],
    exploratory=True,
    not_shown="that the number of heads makes the difference; depth and training differ too",
)
def test_heads_cancel_more(measured_small, measured):
    """Heads offset each other more in XL than in Small."""
    larger = head_cancellation(measured.late_heads_norm, measured.late_head_norm, passage=measured.passage)
    small = head_cancellation(
        measured_small.late_heads_norm, measured_small.late_head_norm, passage=measured_small.passage
    )
    return larger.minus(small)
