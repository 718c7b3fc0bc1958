"""Section 3.2: how far the last block moves a token, and the next token's logit.

The main claims appear in two readings. As published, the last step runs from the state before the last block to the state
*after the final norm*, and each text contributes one point whose logit is a zero that belongs to no token. Corrected, the
step is that of the last block alone, and only tokens with a next token have a row.

Correlations are computed within passages. A difference between two texts is not a relation between tokens, and neither is
a trend along the text that both columns share, so corrected correlations first remove each passage's trend; the published
ones keep it. Whole passages are resampled, because the tokens of one passage are dependent.

The document explains such a relation by a network that knows the next token and hardly moves. That explanation can't apply
to an untrained network, to shuffled tokens, or to predictions shifted along the text: these are the controls. A claim of
*no* relation must fail where a relation is planted, because shifting would only confirm it. If untrained networks show no
relation either, the claim is true of Medium, Large and XL but shows nothing about them.
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

# "r is about 0" means at most one per cent of shared variance.
ABOUT_ZERO = within(-0.1, 0.1)
CONFIDENT = 0.5  # the next token was likelier than all others together
CONTROLS_OF_A_RELATION = [UNTRAINED, SHUFFLED, SHIFTED]
CONTROLS_OF_NO_RELATION = [UNTRAINED, PLANTED]


@claim(
    sizes=[SMALL],
    section="abstract, 3.2",
    expect=below(0.0),
    negligible=ABOUT_ZERO,
    controls=CONTROLS_OF_A_RELATION,
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
    controls=CONTROLS_OF_A_RELATION,
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
    controls=CONTROLS_OF_A_RELATION,
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
    controls=CONTROLS_OF_NO_RELATION,
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
    controls=CONTROLS_OF_NO_RELATION,
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
    controls=CONTROLS_OF_A_RELATION,
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
    controls=CONTROLS_OF_A_RELATION,
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
    controls=CONTROLS_OF_A_RELATION,
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
    controls=CONTROLS_OF_A_RELATION,
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
    controls=CONTROLS_OF_A_RELATION,
    exploratory=True,
    not_shown="why the last step would be special; the document only takes it to be",
)
def test_last_step_special(measured):
    """It is the last step that tells: no other step's length is as negatively related to the next logit."""
    last = pearson(measured.last_step, measured.next_logit, passage=measured.passage)
    earlier = pearson(measured.earlier_steps, measured.next_logit, passage=measured.passage)
    return largest_excess(last, [earlier])
