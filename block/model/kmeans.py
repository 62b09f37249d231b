"""Points that lie close together, in so many groups: where tokens of padding may stand for one another."""

from __future__ import annotations

import torch
from torch import Tensor

ITERATIONS = 10


def clustered(points: Tensor, count: int) -> Tensor:
    """Which of at most `count` groups each point is in. Shape: `(points, dimensions)` in, `(points,)` out, int64.

    Lloyd's k-means (https://doi.org/10.1109/TIT.1982.1056489), started at the point nearest to the mean and then, one
    by one, at that farthest from all before. No chance is involved: the same points give the same groups. Points that
    are equal are in one group: distances are taken once for all of them, because a matrix product may round them
    differently from row to row.
    """
    distinct: Tensor
    which: Tensor
    distinct, which = torch.unique(points, dim=0, return_inverse=True)
    if count >= len(distinct):
        return which
    centres = points[_spread(points, count)]
    for _ in range(ITERATIONS):
        nearest = torch.cdist(distinct, centres).argmin(dim=1)[which]
        sums = torch.zeros_like(centres).index_add_(0, nearest, points)
        counts = torch.bincount(nearest, minlength=count)[:, None]
        centres = torch.where(counts > 0, sums / counts.clamp_min(1), centres)
    return torch.cdist(distinct, centres).argmin(dim=1)[which]


def _spread(points: Tensor, count: int) -> list[int]:
    chosen = [int((points - points.mean(dim=0)).square().sum(dim=1).argmin())]
    distances = (points - points[chosen[0]]).square().sum(dim=1)
    for _ in range(count - 1):
        chosen.append(int(distances.argmax()))
        distances = torch.minimum(distances, (points - points[chosen[-1]]).square().sum(dim=1))
    return chosen
