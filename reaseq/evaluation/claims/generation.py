"""Ways of generating behaviours that C6 compares: reverse steps of the denoiser, and the autoregressive decoder."""

from dataclasses import dataclass
from pathlib import Path

from reaseq.artifacts import Artifact
from reaseq.behavior.autoregressive import ReaSeqDecoder
from reaseq.behavior.denoiser import load_denoiser, load_model, place
from reaseq.behavior.fitted import folder_at
from reaseq.behavior.generation import Generator
from reaseq.behavior.sampler import BehaviorSampler, Sampler
from reaseq.config import BehaviorConfig, Json


@dataclass(frozen=True)
class Generation:
    """A model that was fitted and how it is asked; a denoiser in R `steps`, a decoder in none of them (None)."""

    fitted: Artifact
    steps: int | None
    guidance: float
    snapshot: int | None = None
    """µs: the denoiser that serves then is asked (`folder_at`); None: the one fitted before the cut, as the decoder."""

    @property
    def folder(self) -> Path:
        """Of the model that is asked."""
        return self.fitted.path if self.snapshot is None else folder_at(self.fitted, self.snapshot)

    @property
    def name(self) -> str:
        if self.steps is not None:
            return f"R = {self.steps}"
        return "AR" if self.guidance > 0 else "AR, w = 0"

    def key(self) -> Json:
        """What inferences depend on beside the fitted model and the configuration."""
        told = {"steps": self.steps} if self.steps is not None else {"steps": None, "guidance": self.guidance}
        return told if self.folder == self.fitted.path else told | {"fit": self.folder.name}

    def sampler(self, config: BehaviorConfig, device: str, seed: int) -> BehaviorSampler:
        """Ready to be asked; seed is of the noise."""
        if self.steps is None:
            return Generator(
                place(load_model(self.folder, ReaSeqDecoder), device),
                slots=config.inferred + config.spare_slots,
                guidance=self.guidance,
                temperature=config.temperature,
                seed=seed,
            )
        asked = config.model_copy(update={"reverse_steps": self.steps, "guidance": self.guidance})
        return Sampler.of(place(load_denoiser(self.folder), device), asked, seed)


def ways(denoiser: Artifact, decoder: Artifact, steps: list[int], guidance: float) -> list[Generation]:
    """The arms of C6. The decoder is asked with the denoiser's guidance and without any, so that the denoiser has to
    beat the better of the two."""
    asked = dict.fromkeys((guidance, 0.0))
    return [
        *(Generation(denoiser, each, guidance) for each in sorted(steps)),
        *(Generation(decoder, None, each) for each in asked),
    ]
