from .experts._run import run_experts
from .explain._conflict import run_conflict
from .explain._shap import run_shap
from .genes._run import run_genes
from .genes.cost._published import run_published_cost
from .genes.cost._run import run_genes_cost
from .genes.scaling._run import run_genes_scaling
from .imbalance._novelty import run_novelty
from .imbalance._rare_experts import run_rare_experts
from .imbalance._run import run_imbalance
from .markers._run import run_markers
from .perturbation._gears import gene_context_features, to_gears
from .perturbation._run import run_perturbation
from .perturbation._table import perturbation_table
from .reference._recipe import train_reference
from .reference._run import run_reference
from .replicate._run import run_replicate
from .scale._run import run_scale
from .speed._run import run_speed
from .synergy._run import run_synergy

__all__ = [
    "gene_context_features",
    "perturbation_table",
    "run_conflict",
    "run_experts",
    "run_genes",
    "run_genes_cost",
    "run_genes_scaling",
    "run_imbalance",
    "run_markers",
    "run_novelty",
    "run_perturbation",
    "run_published_cost",
    "run_rare_experts",
    "run_reference",
    "run_replicate",
    "run_scale",
    "run_shap",
    "run_speed",
    "run_synergy",
    "to_gears",
    "train_reference",
]
