"""Section 3.2: how far the last block moves a token, and the next token's logit.

Each claim stands twice. As published, the last step runs from the state before the last block to the state *after
the final norm*, and each text brings one point whose logit is a zero that belongs to no token. Corrected, the step
is the last block's own and only tokens with a next token have a row.

Correlations are taken within passages: a difference between two texts is not a relation between tokens, nor is a drift
that both columns share as a text goes on, so corrected correlations are of what is left without each passage's trend.
The published ones leave the trend in. Whole passages are resampled, because the tokens of one depend on each other.

What the document sees in such a relation, a network that knows the next token and hardly moves, can't be at work in an
untrained network, where tokens come in random order, or where predictions are shifted along the text: these are its
controls. That there is *no* relation must fail where one is planted, for shifting would only confirm it; and if untrained
networks have none either, then it is true of Medium, Large and XL and shows nothing about them.
"""

from pathlen import (
    LARGE,
    LAST_STEP_AND_NEXT_TOKEN,
    MEDIUM,
    PLANTED,
    SHIFTED,
    SHUFFLED,
    SIZES,
    SMALL,
    UNTRAINED,
    XL,
    below,
    claim,
    cliffs_delta,
    largest_excess,
    pearson,
    ratio,
    spearman,
    within,
)

# Under one per cent of the variance shared: what "r is about 0" can mean at most.
ABOUT_ZERO = within(-0.1, 0.1)
CONFIDENT = 0.5  # the token that came next was likelier than all others together
OF_RELATIONS = [UNTRAINED, SHUFFLED, SHIFTED]
OF_NONE = [UNTRAINED, PLANTED]


@claim(
    sizes=[SMALL],
    section="abstract, 3.2",
    expect=below(0.0),
    negligible=ABOUT_ZERO,
    controls=OF_RELATIONS,
    universes=LAST_STEP_AND_NEXT_TOKEN,
    not_shown="that the step causes the logit, or that the relation is strong; position and residual norm may carry it",
)
def test_small_negative(measured):
    """In Small, the shorter the last step, the larger the next token's logit."""
    return pearson(measured.last_step, measured.next_logit, passage=measured.passage)


@claim(
    sizes=[SMALL],
    section="abstract, 3.2",
    expect=below(0.0),
    negligible=ABOUT_ZERO,
    controls=OF_RELATIONS,
    not_shown="anything about the last block, since the step contains the final norm",
)
def test_small_negative_as_published(as_published):
    """In Small, the shorter the last step, the larger the next token's logit."""
    return pearson(as_published.last_step, as_published.next_logit, passage=as_published.passage, trend=0)


@claim(
    sizes=[SMALL],
    section="2.2",
    expect=below(0.0),
    negligible=ABOUT_ZERO,
    controls=OF_RELATIONS,
    universes=LAST_STEP_AND_NEXT_TOKEN,
    not_shown="that the relation is strong; ranks only say that it is monotone",
)
def test_small_negative_rank(measured):
    """In Small, the shorter the last step of a token ranks, the higher the next token's logit ranks."""
    return spearman(measured.last_step, measured.next_logit, passage=measured.passage)


@claim(
    sizes=[MEDIUM, LARGE, XL],
    section="abstract, 3.2",
    expect=ABOUT_ZERO,
    logic="all",
    controls=OF_NONE,
    universes=LAST_STEP_AND_NEXT_TOKEN,
    not_shown="why there is none; a relation that is not straight can hide from r",
)
def test_larger_zero(measured):
    """In Medium, Large and XL the correlation evaporates: last step and next-token logit share under 1 % of variance."""
    return pearson(measured.last_step, measured.next_logit, passage=measured.passage)


@claim(
    sizes=[MEDIUM, LARGE, XL],
    section="abstract, 3.2",
    expect=ABOUT_ZERO,
    logic="all",
    controls=OF_NONE,
    not_shown="anything about the last block, since the step contains the final norm",
)
def test_larger_zero_as_published(as_published):
    """In Medium, Large and XL the correlation evaporates: last step and next-token logit share under 1 % of variance."""
    return pearson(as_published.last_step, as_published.next_logit, passage=as_published.passage, trend=0)


@claim(
    sizes=[MEDIUM, LARGE, XL],
    section="3.2",
    expect=below(0.0),
    negligible=ABOUT_ZERO,
    logic="all",
    controls=OF_RELATIONS,
    universes=LAST_STEP_AND_NEXT_TOKEN,
    not_shown="why they differ; data, training and depth differ along with size",
)
def test_small_differs(measured_small, measured):
    """The relation found in Small breaks in the larger models: Small's correlation is the more negative one."""
    small = pearson(measured_small.last_step, measured_small.next_logit, passage=measured_small.passage)
    larger = pearson(measured.last_step, measured.next_logit, passage=measured.passage)
    return small.minus(larger)


@claim(
    sizes=[MEDIUM, LARGE, XL],
    section="3.2",
    expect=below(0.0),
    negligible=ABOUT_ZERO,
    logic="all",
    controls=OF_RELATIONS,
    not_shown="anything about the last block, since the step contains the final norm",
)
def test_small_differs_as_published(as_published_small, as_published):
    """The relation found in Small breaks in the larger models: Small's correlation is the more negative one."""
    small = pearson(
        as_published_small.last_step, as_published_small.next_logit, passage=as_published_small.passage, trend=0
    )
    larger = pearson(as_published.last_step, as_published.next_logit, passage=as_published.passage, trend=0)
    return small.minus(larger)


@claim(
    sizes=SIZES,
    section="1, 3.2",
    expect=below(1.0),
    controls=OF_RELATIONS,
    not_shown="that confidence brings it about; the last block may move every token less than the others do",
)
def test_stillness(measured):
    """A confident model barely moves at the end: where p is at least 0.5, the last step is shorter than the mean one."""
    sure = measured.where(measured.next_probability >= CONFIDENT)
    return ratio(sure.last_step, sure.mean_step, passage=sure.passage)


@claim(
    sizes=SIZES,
    section="1, 3.2",
    expect=below(0.0),
    controls=OF_RELATIONS,
    not_shown="that the step tells how sure the model is of the next token, beyond this text's tokens being easy or hard",
)
def test_confident_shorter(measured):
    """The surer the model, the shorter the last step: the surest quarter of a text against the least sure one."""
    return cliffs_delta(
        measured.last_step,
        top=measured.surest_quarter,
        bottom=measured.least_sure_quarter,
        passage=measured.passage,
    )


@claim(
    sizes=[SMALL],
    section="3.2",
    expect=below(0.0),
    controls=OF_RELATIONS,
    exploratory=True,
    not_shown="why the last step would be special; the document only takes it to be",
)
def test_last_step_special(measured):
    """It is the last step that tells: no other step's length is as negatively related to the next logit."""
    last = pearson(measured.last_step, measured.next_logit, passage=measured.passage)
    earlier = pearson(measured.earlier_steps, measured.next_logit, passage=measured.passage)
    return largest_excess(last, [earlier])
