"""RecBole's DIN, trained and timed by itself: runs in RecBole's own environment and imports nothing of this project.

    /path/to/recbole-venv/bin/python recbole_din.py FOLDER

`benchmarks/training_throughput.py` writes FOLDER/request.json and the three files of impressions, and reads what this
writes: FOLDER/result.json and FOLDER/scores.npz. RecBole has the rows and histories that it is given: they come as
benchmark files, so it neither splits nor augments, and no time stamp passes through its float32 columns. Its own
`Trainer` runs the epochs; what is timed is that loop alone, batches included, data preparation and evaluation not.
`quick_start` (which wants checkpoints, and to read them back as pickles) is left out.
"""

import json
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from recbole.config import Config
from recbole.data.dataset import SequentialDataset
from recbole.data.utils import data_preparation
from recbole.model.sequential_recommender.din import DIN
from recbole.trainer import Trainer
from recbole.utils import init_seed
from sklearn.metrics import roc_auc_score

NAME = "impressions"


def settings(folder: Path, request: dict) -> dict:
    """RecBole's configuration: given rows and labels, no negative sampling, ids as the only fields."""
    return {
        "data_path": str(folder),
        "checkpoint_dir": str(folder / "unused"),
        "benchmark_filename": ["train", "valid", "test"],
        "load_col": {"inter": ["user_id", "item_id", "label", "item_id_list"]},
        "alias_of_item_id": ["item_id_list"],
        "LABEL_FIELD": "label",
        "MAX_ITEM_LIST_LENGTH": request["history"],
        "train_neg_sample_args": None,
        "eval_args": {"order": "TO", "group_by": "none", "mode": "labeled"},
        "metrics": ["AUC"],
        "valid_metric": "AUC",
        "use_gpu": False,
        "gpu_id": "",
        "seed": request["seed"],
        "state": "ERROR",
        "show_progress": False,
        **request["model"],
    }


@torch.no_grad()
def probabilities(model: DIN, rows, size: int) -> np.ndarray:
    """Scores of a data set in the order of its file, float64 [N]."""
    model.eval()
    scores = [model.predict(rows[start : start + size]) for start in range(0, len(rows), size)]
    return torch.cat(scores).double().numpy()


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    request = json.loads((folder / "request.json").read_text())
    torch.set_num_threads(request["threads"])
    sys.argv = sys.argv[:1]  # RecBole reads the command line as well
    config = Config(model="DIN", dataset=NAME, config_dict=settings(folder, request))
    init_seed(config["seed"], config["reproducibility"])
    dataset = SequentialDataset(config)
    train, valid, test = data_preparation(config, dataset)
    counts = {name: len(part.dataset.inter_feat) for name, part in (("train", train), ("valid", valid), ("test", test))}
    init_seed(config["seed"], config["reproducibility"])
    model = DIN(config, train.dataset).to(config["device"])
    trainer = Trainer(config, model)
    labels = valid.dataset.inter_feat["label"].numpy()
    seconds, busy, curve, best = [], [], [], -1.0
    kept = np.zeros(counts["test"])
    for epoch in range(request["epochs"]):
        started, worked = time.perf_counter(), time.process_time()
        trainer._train_epoch(train, epoch)
        seconds.append(time.perf_counter() - started)
        busy.append(time.process_time() - worked)
        scores = probabilities(model, valid.dataset.inter_feat, config["eval_batch_size"])
        curve.append(float(roc_auc_score(labels, scores)))
        if curve[-1] > best:
            best, kept = curve[-1], probabilities(model, test.dataset.inter_feat, config["eval_batch_size"])
        print(
            f"RecBole seed {request['seed']} epoch {epoch}: {seconds[-1]:.1f} s, valid AUC {curve[-1]:.4f}", flush=True
        )
    np.savez(folder / "scores.npz", test=kept, label=test.dataset.inter_feat["label"].numpy())
    result = {
        "rows": counts,
        "epoch_seconds": seconds,
        "epoch_cpu_seconds": busy,
        "valid_auc": curve,
        "parameters": sum(p.numel() for p in model.parameters()),
        "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("recbole", "torch", "numpy", "pandas")},
        "python": platform.python_version(),
    }
    (folder / "result.json").write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
