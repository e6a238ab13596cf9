"""Features of genes for predictors of perturbation responses."""
