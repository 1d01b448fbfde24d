"""The alignment head: frozen text vectors of an item in, z ∈ R^128 out.

    u = norm( W_r (e_title - μ) + Σ_p g_p · MLP_p(e_p) ),   g = softmax_p(w · e_p),   p ∈ {title, item, demand}

W_r starts as the principal axes of the titles and each MLP's last layer as zero, so u starts as u⁰ = PCA(title). The
linear residual is what keeps the space from collapsing to a narrow cone (FORGE, arXiv 2509.20904). μ, the mean title
vector, is subtracted as in any PCA: without it the part that all titles share stays in every u and all cosines grow.

z is u, or the principal axes of both, side by side:

    z = [ norm A⁰(u⁰ - m⁰) ; norm A(u - m) ] / √2

What alignment learns of behaviour it pays for with what the words alone told apart. A reader of both parts has both,
and a cosine of z is the mean of theirs. Means and axes are those of items with behaviours.
"""

import json
import math
from collections.abc import Callable
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
_BATCH = 8192  # items embedded at a time
_SMALLEST = 1e-6  # a sum shorter than this has no direction


class Aligner(nn.Module):
    """W_r, μ, the MLPs and the gate for text vectors of width `text_dim`; `title_dim` of z's values are A⁰'s."""

    center: Tensor
    start: Tensor

    def __init__(self, text_dim: int, title_dim: int = 0):
        super().__init__()
        self.title_dim = title_dim
        self.residual = nn.Linear(text_dim, VECTOR_DIM, bias=False)
        self.register_buffer("center", torch.zeros(text_dim))
        self.gate = nn.Parameter(torch.zeros(text_dim))
        self.views = nn.ModuleList(_mlp(text_dim) for _ in VIEWS)
        if title_dim:
            self.register_buffer("start", torch.zeros(VECTOR_DIM, text_dim))  # W_r as it was before alignment
            self.title, self.behavior = PrincipalAxes(title_dim), PrincipalAxes(VECTOR_DIM - title_dim)

    @classmethod
    def from_titles(cls, titles: np.ndarray, title_dim: int = 0) -> "Aligner":
        """A head whose u is PCA(title), fitted on the vectors [n, text_dim] of two titles or more.

        Where there are fewer than 128 principal axes (few titles, or narrow vectors), the rest of W_r is zero. First
        layers of the MLPs are drawn from the global RNG of torch.
        """
        aligner = cls(titles.shape[1], title_dim)
        mean, axes = _principal_axes(titles, VECTOR_DIM)
        with torch.no_grad():
            aligner.center.copy_(mean)
            aligner.residual.weight.zero_()
            aligner.residual.weight[: len(axes)] = axes
            if title_dim:
                aligner.start.copy_(aligner.residual.weight)
        return aligner

    def join(self, texts: np.ndarray) -> None:
        """Fit A⁰ and A, once u is learned, on float32 [n, views, text_dim] of two items or more."""
        self.title.fit(self._over(texts, self.before))
        self.behavior.fit(self._over(texts, self.aligned))

    def forward(self, texts: Tensor) -> Tensor:  # [n, views, text_dim]
        """z, float32 [n, 128], of unit length."""
        if not self.title_dim:
            return self.aligned(texts)
        parts = [self.title(self.before(texts)), self.behavior(self.aligned(texts))]
        return torch.cat(parts, dim=-1) * math.sqrt(0.5)

    def before(self, texts: Tensor) -> Tensor:
        """u⁰ [n, 128]; of a head with `title_dim`."""
        return unit((texts[:, 0] - self.center) @ self.start.T)

    def aligned(self, texts: Tensor) -> Tensor:
        """u [n, 128]."""
        gates = torch.softmax(texts @ self.gate, dim=1)  # [n, views]
        learned = torch.stack([mlp(texts[:, p]) for p, mlp in enumerate(self.views)], dim=1)
        return unit(self.residual(texts[:, 0] - self.center) + (gates.unsqueeze(-1) * learned).sum(1))

    def embed(self, texts: np.ndarray) -> np.ndarray:
        """z of float32 [n, views, text_dim], in batches, on this head's device."""
        return self._over(texts, self)

    def embed_aligned(self, texts: np.ndarray) -> np.ndarray:
        """u, likewise."""
        return self._over(texts, self.aligned)

    def _over(self, texts: np.ndarray, give: Callable[[Tensor], Tensor]) -> np.ndarray:
        device = self.center.device
        with torch.inference_mode():
            parts = [
                give(torch.from_numpy(texts[low : low + _BATCH]).to(device)).cpu().numpy()
                for low in range(0, len(texts), _BATCH)
            ]
        return np.concatenate(parts) if parts else np.empty((0, VECTOR_DIM), np.float32)

    def save(self, path: Path, described: Json) -> None:
        """Write the weights to `path` (.safetensors) and `described` beside it (.json)."""
        save_file({name: t.detach().cpu().contiguous() for name, t in self.state_dict().items()}, path)
        path.with_suffix(".json").write_text(json.dumps(described, indent=2, sort_keys=True) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Aligner":
        """The head whose weights `save` wrote to `path`, in eval mode."""
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        aligner = cls(len(weights["center"]), len(weights.get("title.axes", ())))
        aligner.load_state_dict(weights)
        return aligner.eval()


class PrincipalAxes(nn.Module):
    """x → norm A(x - m), of [n, 128]."""

    mean: Tensor
    axes: Tensor

    def __init__(self, width: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(VECTOR_DIM))
        self.register_buffer("axes", torch.zeros(width, VECTOR_DIM))

    def fit(self, vectors: np.ndarray) -> None:
        """Take mean and principal axes of two vectors [n, 128] or more; axes that they do not have are zero."""
        mean, axes = _principal_axes(vectors, len(self.axes))
        self.mean.copy_(mean)
        self.axes.zero_()
        self.axes[: len(axes)] = axes

    def forward(self, vectors: Tensor) -> Tensor:
        return unit((vectors - self.mean) @ self.axes.T)


def _principal_axes(vectors: np.ndarray, most: int) -> tuple[Tensor, Tensor]:
    """Mean [d] and up to `most` principal axes [·, d] of vectors [n, d], float32."""
    with np.errstate(invalid="ignore"):  # sklearn divides by a variance of zero where all vectors are alike
        pca = PCA(min(most, *vectors.shape), svd_solver="covariance_eigh").fit(vectors.astype(np.float64))
    return torch.from_numpy(pca.mean_).float(), torch.from_numpy(pca.components_).float()


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
