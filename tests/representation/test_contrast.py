import math

import torch
from torch.nn import functional

from reaseq.representation.contrast import AlignmentLoss, info_nce


def units(n: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(n, 8, generator=generator), dim=-1)


def test_info_nce_is_the_mean_of_both_directions_with_popularity_corrected() -> None:
    logits = 5 * units(6, 0) @ units(6, 1).T
    rows, columns = torch.linspace(-3, -1, 6), torch.linspace(-1, -4, 6)

    value = info_nce(logits, rows, columns, torch.eye(6, dtype=torch.bool))

    forward = torch.stack([-(logits[i] - columns).log_softmax(0)[i] for i in range(6)]).mean()
    backward = torch.stack([-(logits[:, j] - rows).log_softmax(0)[j] for j in range(6)]).mean()
    torch.testing.assert_close(value, (forward + backward) / 2)


def test_a_known_positive_is_no_negative() -> None:
    logits = units(4, 0) @ units(4, 1).T
    known = torch.eye(4, dtype=torch.bool)
    known[0, 2] = True
    changed = logits.clone()
    changed[0, 2] += 100
    flat = torch.zeros(4)

    assert info_nce(logits, flat, flat, known) == info_nce(changed, flat, flat, known)
    assert info_nce(logits, flat, flat, known & False) != info_nce(changed, flat, flat, known & False)


def test_the_loss_is_the_mean_of_three_terms() -> None:
    i, j, i0, j0 = (units(5, seed) for seed in range(4))
    share = torch.zeros(5)
    known = torch.eye(5, dtype=torch.bool)
    loss = AlignmentLoss()

    value = loss(i, j, i0, j0, share, share, known, known)

    scale = 1 / 0.07
    terms = [info_nce(scale * i @ other.T, share, share, known) for other in (j, j0, i0)]
    torch.testing.assert_close(value, sum(terms) / 3)


def test_the_scale_never_exceeds_a_hundred() -> None:
    i, j = units(5, 0), units(5, 1)
    share, known = torch.zeros(5), torch.eye(5, dtype=torch.bool)
    loss = AlignmentLoss()
    values = []
    for scale in (100.0, 1000.0):
        loss.log_scale.data.fill_(math.log(scale))
        values.append(loss(i, j, i, j, share, share, known, known))

    torch.testing.assert_close(values[0], values[1])
