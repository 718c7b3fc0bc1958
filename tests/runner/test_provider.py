"""Which columns a run measures, in how many passes, and which passes of controls it leaves to helpers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sample_run import SHORT_TEXTS, recording_provider

from pathlen.claims.controls import PLANTED, SHIFTED, SHUFFLED, UNTRAINED, Control, Perturbation
from pathlen.columns.catalog import ALIGNMENT, CATALOG
from pathlen.models import families
from pathlen.models.families import ModelSpec
from pathlen.runner.forward import ForwardPass
from pathlen.runner.model_records import RECORDED
from pathlen.runner.provider import ColumnProvider


def test_expected_columns_are_measured_in_one_pass_and_nothing_else(spec: ModelSpec, passes: list[set[str]]) -> None:
    provider = recording_provider(SHORT_TEXTS)
    provider.expect(["entropy"])
    columns = provider.columns(spec)
    assert passes == [RECORDED | {"entropy"}]
    assert columns.measured.entropy.size
    assert columns.measured.last_step.size
    assert len(passes) == 1
    assert columns.measured.centroid_distance.size  # it was not expected
    assert passes[1:] == [{"centroid_distance"}]


def test_without_a_recorder_nothing_is_measured_but_what_is_expected(spec: ModelSpec, passes: list[set[str]]) -> None:
    provider = ColumnProvider(SHORT_TEXTS)
    provider.expect(["entropy"])
    provider.columns(spec)
    assert passes == [{"entropy"}]


def test_a_column_is_the_same_whether_it_was_expected_or_not(spec: ModelSpec) -> None:
    late, early = ColumnProvider(SHORT_TEXTS), ColumnProvider(SHORT_TEXTS)
    early.expect(CATALOG)
    for name in sorted(CATALOG.keys() - {"token_ids"}):
        unexpected, expected = (getattr(provider.columns(spec).measured, name) for provider in (late, early))
        assert np.array_equal(unexpected, expected), name


@pytest.mark.parametrize("control", [UNTRAINED, SHUFFLED])
def test_a_control_measures_what_its_claims_name(spec: ModelSpec, passes: list[set[str]], control: Control) -> None:
    columns = ColumnProvider(SHORT_TEXTS).control(spec, Perturbation(control, 0), ["step_length"])
    assert passes == [{"step_length"}]
    assert columns.measured.total_length.size
    assert len(passes) == 1


@pytest.mark.parametrize("control", [SHIFTED, PLANTED])
def test_moved_predictions_take_no_pass(spec: ModelSpec, passes: list[set[str]], control: Control) -> None:
    provider = recording_provider(SHORT_TEXTS)
    provider.columns(spec)
    columns = provider.control(spec, Perturbation(control, 0), ["step_length", "next_logit"])
    assert columns.measured.next_logit.size
    assert len(passes) == 1  # of the unperturbed columns
    assert not np.array_equal(columns.measured.next_logit, provider.columns(spec).measured.next_logit)


def test_numbers_depend_neither_on_random_state_nor_on_what_is_measured_beside_them(spec: ModelSpec) -> None:
    columns = []
    for seed, beside in ((3, []), (4, ["entropy"])):
        torch.manual_seed(seed)
        provider = recording_provider(SHORT_TEXTS)
        provider.expect(beside)
        columns.append(provider.columns(spec).measured)
    assert np.array_equal(columns[0].step_length, columns[1].step_length)


def test_helpers_run_the_passes_of_small_networks_that_are_worth_it(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    perturbations = [Perturbation(UNTRAINED, 0), Perturbation(PLANTED, 0), Perturbation(SHUFFLED, 3)]
    large = families.spec("gpt2", "large")
    assert large.is_large
    considered: list[list[ForwardPass]] = []

    def one_helper(forward_passes: list[ForwardPass], _: object) -> int:
        considered.append(forward_passes)
        return 1

    monkeypatch.setattr("pathlen.runner.provider.helpers_worth_starting", one_helper)
    helped, alone = (ColumnProvider(SHORT_TEXTS) for _ in range(2))
    helped.prefetch_controls(
        (network, perturbation, ["step_length"]) for network in (large, spec) for perturbation in perturbations
    )
    columns = frozenset({"step_length", *ALIGNMENT})
    assert considered == [[ForwardPass(spec, 0, None, columns), ForwardPass(spec, None, 3, columns)]]
    prefetcher = helped.prefetcher
    assert prefetcher is not None
    for perturbation in (perturbations[0], perturbations[2]):
        from_helper, from_here = (
            provider.control(spec, perturbation, ["step_length"]).measured.step_length for provider in (helped, alone)
        )
        assert np.array_equal(from_helper, from_here)
    assert prefetcher.is_closed
    helped.close()
    assert helped.prefetcher is None
    afterwards = helped.control(spec, perturbations[0], ["step_length"]).measured.step_length
    assert np.array_equal(afterwards, alone.control(spec, perturbations[0], ["step_length"]).measured.step_length)


def test_no_helper_runs_passes_of_a_gpu(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pathlen.runner.provider.helpers_worth_starting", lambda *_: 1)
    provider = ColumnProvider(SHORT_TEXTS, device="cuda")
    provider.prefetch_controls([(spec, Perturbation(UNTRAINED, 0), list(CATALOG))])
    assert provider.prefetcher is None
