"""What an experiment sees of known molecules."""

import numpy as np
import pytest

from scmoe.datasets.grn._noise import MODALITIES, Noise, draw_present, measure

MOLECULES = np.full((2000, 20), 50)
ONE_BATCH = np.zeros(2000, dtype=int)


def noise(
    capture: float = 0.2, dropout: float = 0.0, depth_sd: float = 0.0, batch_sd: float = 0.0, modality: str = "rna"
) -> Noise:
    return Noise(capture={modality: capture}, dropout={modality: dropout}, depth_sd=depth_sd, batch_sd=batch_sd)


def measured(settings: Noise, batch: np.ndarray = ONE_BATCH) -> np.ndarray:
    return measure(MOLECULES, "rna", batch, settings, np.random.default_rng(0))


def test_capture_is_binomial() -> None:
    counts = measured(noise(capture=0.2))
    assert counts.mean() == pytest.approx(10, rel=0.01)
    assert counts.var() == pytest.approx(8, rel=0.05)


def test_everything_captured_is_the_truth() -> None:
    np.testing.assert_array_equal(measured(noise(capture=1.0)), MOLECULES)


def test_dropout_loses_its_share_of_values_and_leaves_the_others() -> None:
    counts = measured(noise(capture=1.0, dropout=0.3))
    assert (counts == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert set(np.unique(counts)) == {0, 50}


def test_depth_scales_cells_and_keeps_the_mean() -> None:
    counts = measured(noise(depth_sd=0.5))
    totals = counts.sum(axis=1)
    assert counts.mean() == pytest.approx(10, rel=0.05)
    assert np.log(totals).std() == pytest.approx(0.5, abs=0.05)


def test_batches_shift_features_and_one_batch_does_not() -> None:
    batch = np.arange(2000) % 2
    ratio = [
        np.log(counts[batch == 1].mean(axis=0) / counts[batch == 0].mean(axis=0))
        for counts in (measured(noise(batch_sd=0.4), batch), measured(noise(batch_sd=0.0), batch))
    ]
    assert ratio[0].std() > 0.3 and ratio[1].std() < 0.05
    np.testing.assert_array_equal(measured(noise(batch_sd=0.4)), measured(noise(batch_sd=0.0)))


@pytest.mark.parametrize(
    "missing", [{}, {"protein": 0.5}, {"rna": 0.25, "protein": 0.5}, dict.fromkeys(MODALITIES, 0.75), {"dna": 0.99}]
)
def test_missing_shares_are_exact_and_no_cell_is_empty(missing: dict[str, float]) -> None:
    present = draw_present(missing, 200, np.random.default_rng(0))
    assert {name: 1 - cells.mean() for name, cells in present.items()} == pytest.approx(
        {name: missing.get(name, 0.0) for name in MODALITIES}
    )
    n_missing = 4 - sum(cells.astype(int) for cells in present.values())
    assert n_missing.max() <= 3 and np.ptp(n_missing) <= 1


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ({"rna": 1.0}, "missing leaves no cell with 'rna': a share of 1 is all of 200 cells"),
        (dict.fromkeys(MODALITIES, 0.8), "must sum to at most 3, so that every cell keeps one modality; found 3.2"),
    ],
)
def test_impossible_shares_are_refused(missing: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_present(missing, 200, np.random.default_rng(0))
