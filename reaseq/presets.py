"""The presets that `reaseq.config` tells of: overrides over its defaults, by section."""

from typing import Any

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "threads": 1,  # its tensors are too small to share
        "data": {"synthetic": {"users": 400, "items": 600, "days": 60, "events_per_user": 30.0}},
        "representation": {"title_dim": 64, "align_steps": 150, "align_batch": 256, "codebook_size": 32},
        "behavior": {
            "d_model": 64,
            "layers": 2,
            "heads": 2,
            "max_slots": 30,
            "epochs": 20,
            "refit_epochs": 5,
            "batch_slots": 256,
            "snapshots": 2,
            "reverse_steps": 4,
        },
        "ranking": {
            "id_dim": 16,
            "content_dim": 32,
            "attention_dim": 32,
            "short_history": 30,
            "long_history": 200,
            "long_top": 20,
            "hidden": [64, 32],
            "batch": 256,
            "lr_dense": 2e-3,
            "lr_sparse": 1e-2,
            "least_steps": 100,
            "golden_candidates": 50,
        },
        "evaluation": {"ranked_users": 100, "bootstrap": 200},
    },
    "small": {
        "data": {"synthetic": {"users": 4000, "items": 3000}},
        "representation": {"title_dim": 64, "align_steps": 800, "align_batch": 1024},
        "behavior": {
            "d_model": 128,
            "layers": 3,
            "epochs": 12,
            "refit_epochs": 6,
            "batch_slots": 1024,
            "lr": 2e-3,
            "snapshots": 3,
            "reverse_steps": 4,
            "cache_refresh": 4,
        },
        "ranking": {
            "id_dim": 16,
            "content_dim": 32,
            "attention_dim": 32,
            "hidden": [128, 64],
            "epochs": 2,
            "lr_dense": 4e-3,
            "lr_final": 0.1,
            "lr_sparse": 1e-2,
        },
    },
    "base": {"device": "cuda", "representation": {"title_dim": 64}},
    "large": {
        "device": "cuda",
        "representation": {"title_dim": 64},
        "data": {"synthetic": {"users": 200_000, "items": 100_000}},
        "behavior": {"d_model": 512, "layers": 8, "heads": 8, "batch_slots": 16_384},
        "ranking": {"id_dim": 64, "attention_dim": 128, "hidden": [512, 256, 128], "batch": 8192},
    },
}
