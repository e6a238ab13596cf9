"""Ranges of the numbers among public arguments: a name means the same wherever it stands, and is written once, here."""

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`; infinity is in no range.

    Parameters
    ----------
    low, high
        The bounds; None: there is none.
    open_low, open_high
        Whether the bound itself is outside.
    """

    low: float | None = None
    high: float | None = None
    open_low: bool = False
    open_high: bool = False

    def holds(self, value: Any) -> bool:
        """Whether a number is in the range."""
        if isinstance(value, float) and not math.isfinite(value):
            return False
        above = self.low is None or (value > self.low if self.open_low else value >= self.low)
        below = self.high is None or (value < self.high if self.open_high else value <= self.high)
        return above and below

    def __str__(self) -> str:
        if self.low is not None and self.high is not None and not self.open_low and not self.open_high:
            return f"from {_plain(self.low)} to {_plain(self.high)}"
        low = "" if self.low is None else f"{'above' if self.open_low else 'of at least'} {_plain(self.low)}"
        high = "" if self.high is None else f"{'below' if self.open_high else 'at most'} {_plain(self.high)}"
        return " and ".join(filter(None, (low, high)))


def _plain(bound: float) -> str:
    return "2**32 - 1" if bound == LARGEST_SEED else str(bound)


LARGEST_SEED = 2**32 - 1
ANY = Range()
NOT_NEGATIVE = Range(0)
POSITIVE = Range(0, open_low=True)
COUNT = Range(1)
SHARE = Range(0, 1)
POSITIVE_SHARE = Range(0, 1, open_low=True)
SHARE_BELOW_ONE = Range(0, 1, open_high=True)
INNER_SHARE = Range(0, 1, open_low=True, open_high=True)
SEED = Range(0, LARGEST_SEED)

RANGES: dict[str, Range] = {
    # counts of things
    **dict.fromkeys(
        "batch_size cells epochs folds length limit max_epochs max_length max_level max_steps min_cells "
        "labels_per_type n_batches n_bins n_cells "
        "n_clusters n_components n_experts n_features n_genes n_groups n_heads n_hidden n_layers n_matched n_neighbors "
        "n_permutations n_programs n_proteins n_random n_regions n_slices n_steps n_tokens n_top n_top_features "
        "n_total n_types ncols threshold top_k expert_hidden decoder_hidden decoder_heads decoder_layers decoder_width "
        "encoder_heads encoder_layers encoder_width".split(),
        COUNT,
    ),
    **dict.fromkeys(("n_boot", "n_peaks"), NOT_NEGATIVE),
    # places in a list
    "expert": NOT_NEGATIVE,
    "head": NOT_NEGATIVE,
    "layer": ANY,
    # names of categories
    **dict.fromkeys("transform_batch targets label labels unlabeled_category order".split(), ANY),
    "indices": ANY,
    "devices": ANY,
    # shares
    **dict.fromkeys("p_split warmup min_share fractions shares".split(), SHARE),
    **dict.fromkeys(
        "dropout feature_dropout decoder_dropout ema mask_nonzero mask_zero nonzero_rate zero_rate".split(),
        SHARE_BELOW_ONE,
    ),
    "coverage": POSITIVE_SHARE,
    "level": INNER_SHARE,
    "held_out": INNER_SHARE,
    "rollup_confidence": Range(0.5, 1, open_low=True),
    "train_size": POSITIVE_SHARE,
    "validation_size": SHARE_BELOW_ONE,
    # other numbers
    **dict.fromkeys("lr gradient_clip max_memory resolution".split(), POSITIVE),
    **dict.fromkeys(
        "weight_decay balance_weight cluster_weight cross_weight graph_weight label_weight own_weight z_weight "
        "batch_sd depth_sd influence".split(),
        NOT_NEGATIVE,
    ),
    "rho": COUNT,
    "rhos": COUNT,
    "seed": SEED,
    "seeds": SEED,
    "untrained": SEED,
}
"""By the name of the argument or field; a test sees that every public number has one."""
