"""Tune a model without labels, then ask whether it was worth it: ``python tune.py cells.h5mu --target adt``.

A fifth of the cells is set apart first, and no trial sees them. The others are divided into training, validation and
test cells, once for each repeat. A trial's score is the mean Pearson correlation, over features, of the target as
predicted from the source, in test cells. In the end the best settings and the defaults are trained anew on all cells
but those set apart, with several seeds, and both are scored on these.

Needs ``pip install optuna``. Writes ``trials.csv``, ``comparison.csv`` and ``study.db`` to the output folder. A run
that was stopped goes on with the trials of ``study.db``.
"""

import argparse
from pathlib import Path

import optuna
import pandas as pd
from mudata import MuData

import scmoe

REPEATS = (0, 1)
"""Seeds of the divisions within the cells that are tuned on."""
DEFAULTS = {
    "lr": 3e-3,
    "p_split": 0.5,
    "cross_weight": 4.0,
    "n_programs": 50,
    "n_hidden": 64,
    "n_layers": 1,
    "n_experts": 8,
    "top_k": 2,
    "dropout": 0.1,
}
"""The first trial, so that nothing worse can win; a test compares them with those of the package."""
DONE = (optuna.trial.TrialState.COMPLETE,)
PLAN = ("lr", "p_split", "cross_weight")
"""Settings of the training, the others being of the network."""


def suggest(trial: optuna.Trial) -> dict[str, float]:
    """Settings that matter most; add yours, of `scmoe.model.NetworkConfig` and `scmoe.model.TrainConfig`."""
    return {
        "lr": trial.suggest_float("lr", 5e-4, 1e-2, log=True),
        "p_split": trial.suggest_float("p_split", 0.2, 0.9),
        "cross_weight": trial.suggest_float("cross_weight", 1.0, 16.0, log=True),
        "n_programs": trial.suggest_int("n_programs", 10, 100, step=10),
        "n_hidden": trial.suggest_categorical("n_hidden", [32, 64, 128]),
        "n_layers": trial.suggest_int("n_layers", 1, 2),
        "n_experts": trial.suggest_categorical("n_experts", [4, 8, 16]),
        "top_k": trial.suggest_int("top_k", 1, 4),
        "dropout": trial.suggest_float("dropout", 0.0, 0.4),
    }


def train(mdata: MuData, settings: dict[str, float], seed: int, **options: object) -> scmoe.model.SCMOE:
    """A model with these settings."""
    network = {name: value for name, value in settings.items() if name not in PLAN}
    model = scmoe.model.SCMOE(mdata, seed=seed, **network)
    plan = {name: settings[name] for name in PLAN}
    model.train(plan_kwargs=plan, enable_progress_bar=False, **options)
    return model


def score(model: scmoe.model.SCMOE, cells: MuData, source: str, target: str) -> float:
    """Mean Pearson correlation of predicted with measured features, in cells that the model has not seen."""
    prediction = model.impute(source, target, cells)
    values = cells[target].X
    truth = values.toarray() if hasattr(values, "toarray") else values
    return float(scmoe.metrics.feature_scores(truth, prediction)["pearson"].mean())


def tune(mdata: MuData, arguments: argparse.Namespace) -> optuna.Study:
    """Search on divisions of these cells."""
    for repeat in REPEATS:
        fractions = (0.7, 0.1, 0.2)
        scmoe.pp.split(mdata, fractions=fractions, seed=repeat, key_added=f"division{repeat}")
    scmoe.model.SCMOE.setup_mudata(mdata, batch_key=arguments.batch_key)

    def objective(trial: optuna.Trial) -> float:
        settings, scores = suggest(trial), []
        for repeat in REPEATS:
            model = train(mdata, settings, repeat, split_key=f"division{repeat}")
            trial.set_user_attr(f"validation_loss{repeat}", float(model.history["validation_loss"].min()))
            cells = mdata[model.test_indices].copy()
            scores.append(score(model, cells, arguments.source, arguments.target))
        return sum(scores) / len(scores)

    storage = f"sqlite:///{arguments.output / 'study.db'}"
    study = optuna.create_study(study_name="scmoe", direction="maximize", storage=storage, load_if_exists=True)
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials))
    study.enqueue_trial(DEFAULTS, skip_if_exists=True)
    study.optimize(objective, n_trials=max(arguments.trials - len(study.get_trials(states=DONE)), 0))
    return study


def compare(known: MuData, new: MuData, best: dict[str, float], arguments: argparse.Namespace) -> pd.DataFrame:
    """Best settings and defaults beside each other, on cells that no trial saw."""
    scmoe.model.SCMOE.setup_mudata(known, batch_key=arguments.batch_key)
    rows = []
    for seed in range(arguments.seeds):
        for name, settings in {"default": DEFAULTS, "tuned": best}.items():
            model = train(known, settings, seed)
            rows.append((name, seed, score(model, new, arguments.source, arguments.target)))
    return pd.DataFrame(rows, columns=["settings", "seed", "pearson"])


def main() -> None:
    """Read, set apart, tune, compare."""
    parser = argparse.ArgumentParser(description="Tune scmoe without labels.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--source", default="rna")
    parser.add_argument("--target", default="adt")
    parser.add_argument("--batch-key")
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path, default=Path("tuned"))
    arguments = parser.parse_args()
    mdata = scmoe.datasets.read(arguments.file)
    scmoe.pp.prepare(mdata, batch_key=arguments.batch_key)
    scmoe.pp.split(mdata, fractions=(0.8, 0, 0.2), key_added="apart")
    known, new = (mdata[(mdata.obs["apart"] == part).to_numpy()].copy() for part in ("train", "test"))
    arguments.output.mkdir(parents=True, exist_ok=True)
    study = tune(known.copy(), arguments)
    study.trials_dataframe().to_csv(arguments.output / "trials.csv", index=False)
    table = compare(known, new, study.best_params, arguments)
    table.to_csv(arguments.output / "comparison.csv", index=False)
    done = study.get_trials(states=DONE)
    print(f"Best of {len(done)} trials: {study.best_value:.3f}, default {done[0].value:.3f}")
    print(study.best_params)
    print(table.groupby("settings")["pearson"].agg(["mean", "std", "min", "max"]).round(4).to_string())


if __name__ == "__main__":
    main()
