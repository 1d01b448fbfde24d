"""The alignment head: frozen text vectors of an item in, z ∈ R^128 out.

    z = norm( W_r (e_title - μ) + Σ_p g_p · MLP_p(e_p) ),   g = softmax_p(w · e_p),   p ∈ {title, item, demand}

W_r starts as the principal axes of the titles and each MLP's last layer as zero, so z starts as PCA(title). The linear
residual is what keeps the space from collapsing to a narrow cone (FORGE, arXiv 2509.20904). μ, the mean title vector,
is subtracted as in any PCA: without it the part that all titles share stays in every z and all cosines grow.
"""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from sklearn.decomposition import PCA
from torch import Tensor, nn
from torch.nn import functional

from reaseq.config import Json
from reaseq.schema import VECTOR_DIM

VIEWS = ("title", "item", "demand")
_HIDDEN = 256
_SMALLEST = 1e-6  # a sum shorter than this has no direction


class Aligner(nn.Module):
    """W_r, μ, the MLPs and the gate for text vectors of width `text_dim`."""

    center: Tensor

    def __init__(self, text_dim: int):
        super().__init__()
        self.residual = nn.Linear(text_dim, VECTOR_DIM, bias=False)
        self.register_buffer("center", torch.zeros(text_dim))
        self.gate = nn.Parameter(torch.zeros(text_dim))
        self.views = nn.ModuleList(_mlp(text_dim) for _ in VIEWS)

    @classmethod
    def from_titles(cls, titles: np.ndarray) -> "Aligner":
        """A head whose z is PCA(title), fitted on the vectors [n, text_dim] of two titles or more.

        Where there are fewer than 128 principal axes (few titles, or narrow vectors), the rest of W_r is zero. First
        layers of the MLPs are drawn from the global RNG of torch.
        """
        aligner = cls(titles.shape[1])
        axes = min(VECTOR_DIM, *titles.shape)
        with np.errstate(invalid="ignore"):  # sklearn divides by a variance of zero where all titles are alike
            pca = PCA(axes, svd_solver="covariance_eigh").fit(titles.astype(np.float64))
        with torch.no_grad():
            aligner.center.copy_(torch.from_numpy(pca.mean_))
            aligner.residual.weight.zero_()
            aligner.residual.weight[:axes] = torch.from_numpy(pca.components_).float()
        return aligner

    def forward(self, texts: Tensor) -> Tensor:  # [n, views, text_dim]
        """z, float32 [n, 128], of unit length."""
        gates = torch.softmax(texts @ self.gate, dim=1)  # [n, views]
        learned = torch.stack([mlp(texts[:, p]) for p, mlp in enumerate(self.views)], dim=1)
        return unit(self.residual(texts[:, 0] - self.center) + (gates.unsqueeze(-1) * learned).sum(1))

    def embed(self, texts: np.ndarray, batch: int = 8192) -> np.ndarray:
        """`forward` without gradients over float32 [n, views, text_dim], in batches, on this head's device."""
        device = self.center.device
        with torch.inference_mode():
            parts = [
                self(torch.from_numpy(texts[start : start + batch]).to(device)).cpu().numpy()
                for start in range(0, len(texts), batch)
            ]
        return np.concatenate(parts) if parts else np.empty((0, VECTOR_DIM), np.float32)

    def save(self, path: Path, described: Json) -> None:
        """Write the weights to `path` (.safetensors) and `described` beside it (.json)."""
        save_file({name: t.detach().cpu().contiguous() for name, t in self.state_dict().items()}, path)
        path.with_suffix(".json").write_text(json.dumps(described, indent=2, sort_keys=True) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Aligner":
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        aligner = cls(len(weights["center"]))
        aligner.load_state_dict(weights)
        return aligner.eval()


def _mlp(text_dim: int) -> nn.Sequential:
    last = nn.Linear(_HIDDEN, VECTOR_DIM)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(text_dim, _HIDDEN), nn.GELU(), last)


def unit(vectors: Tensor) -> Tensor:
    """Rows [n, d] at unit length; one without a direction (all titles alike) becomes the first basis vector."""
    length = vectors.norm(dim=-1, keepdim=True)
    basis = functional.one_hot(torch.zeros(1, dtype=torch.long, device=vectors.device), vectors.shape[-1])
    return torch.where(length > _SMALLEST, vectors / length.clamp(min=_SMALLEST), basis.to(vectors.dtype))
