"""How far is confidence from the share of hits? A denoiser's temperature and calibration error, on held-out behaviours.

    python benchmarks/confidence_calibration.py --dataset DIR --item-vectors DIR --denoiser DIR [--preset small]

A run's denoiser has been calibrated when it was fitted, and its facts say so (`calibration`); this does it again, for
denoisers of before. Both fits are shown: the one on the events before the cut, and the one on all training events. Its
held-out behaviours were drawn anew, so that the first fit may have seen some of them.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from reaseq import config
from reaseq.artifacts import open_artifact
from reaseq.behavior.calibration import calibrate
from reaseq.behavior.catalogue import Catalogue
from reaseq.behavior.corpus import Corpus
from reaseq.behavior.denoiser import load_denoiser
from reaseq.behavior.fitted import REFIT, open_catalogue
from reaseq.behavior.inpainting import Inpainting
from reaseq.behavior.training import STAGE
from reaseq.determinism import deterministic_torch


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--dataset", "--item-vectors", "--denoiser"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--preset", default="small", help="that it was fitted under")
    chosen = parser.parse_args()
    denoiser = open_artifact(chosen.denoiser, "denoiser")
    data, vectors = open_catalogue(
        open_artifact(chosen.dataset, "dataset"), open_artifact(chosen.item_vectors, "item_vectors")
    )
    run = config.load(chosen.preset)
    train = data.log.only_train()
    fits = {"before the cut": (denoiser.path, train.before(int(denoiser.facts["cut"])))}
    if REFIT in denoiser.facts:
        fits["all of training"] = (denoiser.path / REFIT, train)
    print("| fitted on | temperature | calibration error, before | after | behaviours |\n|---|---|---|---|---|")
    for name, (folder, log) in fits.items():
        model = load_denoiser(folder)
        corpus = Corpus.of(log.with_actions(model.config.action_names), np.random.default_rng([run.seed, STAGE]))
        catalogue = Catalogue.known_before(log.items, vectors.z, vectors.codes, data.category_index)
        found = calibrate(model, Inpainting(corpus, catalogue, vectors.codes, run.behavior.max_slots))
        told = f"{found.temperature:.3f} | {found.error_before:.4f} | {found.error:.4f} | {found.behaviors}"
        print(f"| {name} | {told} |")
    return 0


if __name__ == "__main__":
    with deterministic_torch(1, 0):
        sys.exit(main())
