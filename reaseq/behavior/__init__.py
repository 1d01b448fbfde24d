"""GBR, latent reasoning: a masked-diffusion language model over behaviour slots, and what it infers beyond the log.

`stage.fit_denoiser` fits it on events before the cut; `stage.infer_behaviors` inserts [MASK] slots into users'
histories at each snapshot, fills them in (`sampler`) and finds items that exist for them (`grounding`).
"""

from reaseq.behavior.configuration import ReaSeqDenoiserConfig
from reaseq.behavior.denoiser import ReaSeqDenoiser, load_denoiser
from reaseq.behavior.errors import BehaviorError
from reaseq.behavior.stage import fit_denoiser, infer_behaviors

__all__ = [
    "BehaviorError",
    "ReaSeqDenoiser",
    "ReaSeqDenoiserConfig",
    "fit_denoiser",
    "infer_behaviors",
    "load_denoiser",
]
