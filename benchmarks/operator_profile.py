"""Where the time of a training goes: shares of operator groups, by torch's profiler over some steps of the real loop.

`profile_training` runs a training of this project as it is and watches `steps` of its steps, after as many unwatched
ones as it takes to warm up. Shares are of self time on the main thread, so they sum to 1. Watching costs time with
every operator: shares of many small operators come out too large, and speed is never read off a profile.
"""

from collections import defaultdict
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from torch.profiler import ProfilerActivity, profile, record_function, schedule

from reaseq.ranking import training
from reaseq.ranking.batches import RequestBatches
from reaseq.ranking.training import Trainer

WARM_UP = 10  # steps
ASSEMBLING, OPTIMISING = "assembling batches (NumPy)", "optimisers"
BETWEEN = "between operators: Python, autograd"
ARITHMETIC = "element-wise, sums, softmax, top-k"
GROUPS = {
    "matrix products": ("mm", "addmm", "bmm", "baddbmm", "mv", "linear", "matmul"),
    "look-ups and their gradients": (
        *("embedding", "embedding_dense_backward", "embedding_sparse_backward", "index_select", "index", "index_put_"),
        *("_index_put_impl_", "gather", "gather_backward", "scatter_add", "scatter_add_", "index_add_", "nonzero"),
    ),
    "copies and layout": (
        *("copy_", "cat", "clone", "contiguous", "to", "_to_copy", "fill_", "zero_", "zeros", "zeros_like", "empty"),
        *("empty_like", "empty_strided", "new_zeros", "new_empty", "as_strided", "view", "reshape", "expand", "slice"),
        *("select", "transpose", "t", "permute", "unsqueeze", "squeeze", "split", "narrow", "resize_", "stack", "pad"),
        *("_unsafe_view", "detach", "expand_as", "constant_pad_nd", "ones_like", "full_like", "slice_backward"),
    ),
}
GROUP_OF = {f"aten::{name}": group for group, names in GROUPS.items() for name in names}


def profile_training(train: Callable[[], Any], steps: int) -> dict[str, Any]:
    """Watch a training.

    Args:
        train: runs the whole training, of more than `WARM_UP + steps` steps.
        steps: to watch.

    Returns:
        `shares` of the groups, largest first; `steps`; `milliseconds_per_step` while watched.

    Raises:
        ValueError: the training was over before all steps were watched.
    """
    plan = schedule(wait=WARM_UP - 1, warmup=1, active=steps, repeat=1)
    told: list[dict[str, Any]] = []
    step, assemble, localise = Trainer._step, RequestBatches.batch, training.localise

    def watched(self: Trainer, *arguments: Any) -> float:
        loss = step(self, *arguments)
        watch.step()
        return loss

    def named(of: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with record_function(ASSEMBLING):
                return of(*arguments, **options)

        return call

    with (
        profile(
            activities=[ProfilerActivity.CPU], schedule=plan, on_trace_ready=lambda done: told.append(shares(done))
        ) as watch,
        patch.object(Trainer, "_step", watched),
        patch.object(RequestBatches, "batch", named(assemble)),
        patch.object(training, "localise", named(localise)),
    ):
        train()
    if not told or told[0]["steps"] < steps:
        raise ValueError(f"the training has fewer than {WARM_UP} + {steps} steps: profile fewer, or train for longer.")
    return told[0]


def shares(done: profile) -> dict[str, Any]:
    """Self time by group, over that of all watched steps."""
    spent: dict[str, float] = defaultdict(float)
    steps, whole = 0, 0.0
    for event in done.events():
        if event.name.startswith("ProfilerStep"):
            steps, whole = steps + 1, whole + event.cpu_time_total
        spent[group(event)] += event.self_cpu_time_total
    total = sum(spent.values())
    return {
        "steps": steps,
        "milliseconds_per_step": round(whole / 1000 / max(steps, 1), 3),
        "shares": {name: round(value / total, 4) for name, value in sorted(spent.items(), key=lambda pair: -pair[1])},
    }


def group(event: Any) -> str:
    """An operator inside an optimiser's step is the optimiser's, whatever it does."""
    above = event
    while above is not None:
        if above.name.startswith("Optimizer."):
            return OPTIMISING
        above = above.cpu_parent
    if event.name == ASSEMBLING:
        return ASSEMBLING
    if event.name.startswith("aten::"):
        return GROUP_OF.get(event.name, ARITHMETIC)
    return BETWEEN


def profile_table(profiles: dict[str, dict[str, Any]]) -> str:
    """Groups down, networks across."""
    names = list(profiles)
    rows = sorted(
        {name for told in profiles.values() for name in told["shares"]},
        key=lambda row: -max(told["shares"].get(row, 0) for told in profiles.values()),
    )
    lines = ["| share of a step's time | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for row in rows:
        lines.append(f"| {row} | " + " | ".join(f"{profiles[n]['shares'].get(row, 0):.1%}" for n in names) + " |")
    return "\n".join(lines)
