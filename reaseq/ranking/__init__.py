"""The ranker: three-branch CTR model, its features, its trainer and the bundle that serving loads.

    features   user rows and candidates → the model's input tensors; one function, used offline and online (numpy only)
    bundle     an exported ranker: vocabulary, limits, ONNX session, golden requests (no torch)
    stage      `train_ranker`, from artifacts to a bundle
    scoring    scores of impressions and ranks over the whole catalogue, for evaluation

Importing this package, `features` or `bundle` never imports torch: they stand on the request path.
"""

from reaseq.ranking.bundle import Bundle
from reaseq.ranking.errors import RankingError
from reaseq.ranking.features import ColdItem, FeatureLimits, UserRow, Vocabulary, assemble

__all__ = ["Bundle", "ColdItem", "FeatureLimits", "RankingError", "UserRow", "Vocabulary", "assemble"]
