from ._baselines import pca_embedding, ridge_on_pca
from ._compare_run import run_compare
from ._conflict_run import run_conflict
from ._demo import run_demo
from ._gears import gene_context_features, to_gears
from ._genes_cost import run_genes_cost
from ._genes_run import run_genes
from ._imbalance_run import run_imbalance
from ._novelty import run_novelty
from ._perturbation_run import run_perturbation
from ._perturbation_table import perturbation_table
from ._rare_experts import run_rare_experts
from ._regimes_run import run_experts
from ._replicate_run import run_replicate
from ._scores import embedding_scores
from ._scores_held_out import label_scores, prediction_scores
from ._shap_run import run_shap
from ._speed import run_speed

__all__ = [
    "embedding_scores",
    "gene_context_features",
    "label_scores",
    "pca_embedding",
    "perturbation_table",
    "prediction_scores",
    "ridge_on_pca",
    "run_compare",
    "run_conflict",
    "run_demo",
    "run_experts",
    "run_genes",
    "run_genes_cost",
    "run_imbalance",
    "run_novelty",
    "run_perturbation",
    "run_rare_experts",
    "run_replicate",
    "run_shap",
    "run_speed",
    "to_gears",
]
