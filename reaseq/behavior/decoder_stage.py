"""Fitting the autoregressive decoder: the denoiser's stage with another model, objective and measure.

Size, corpus, cut, optimiser, epochs, batches and the draw of held-out users are the denoiser's.
"""

from pathlib import Path

from reaseq.artifacts import Artifact, Workspace
from reaseq.behavior.autoregressive import ReaSeqDecoder, ReaSeqDecoderConfig
from reaseq.behavior.next_behavior import NextBehavior, decoding
from reaseq.behavior.stage import Learner, fit_learner
from reaseq.config import RunConfig

DECODER = Learner("decoder", ReaSeqDecoder, ReaSeqDecoderConfig, decoding, NextBehavior, serves=False)


def fit_decoder(
    config: RunConfig, dataset: Artifact, item_vectors: Artifact, out: Path, workspace: Workspace
) -> Artifact:
    """Fit the decoder on the events that `fit_denoiser` fits the denoiser on; makes a "decoder" artifact. Its facts
    name the recall `inpainting` as the denoiser's do; what it is of, `NextBehavior` says.

    Raises:
        BehaviorError: as `fit_denoiser`.
    """
    return fit_learner(DECODER, config, dataset, item_vectors, out, workspace)
