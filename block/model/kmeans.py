"""Cluster points, used to merge padding tokens that are alike."""

from __future__ import annotations

import torch
from torch import Tensor

ITERATIONS = 10


def cluster_points(points: Tensor, count: int) -> Tensor:
    """Return the cluster of each point, of at most `count`. Shape: `(points, dimensions)` in, `(points,)` out, int64.

    Lloyd's k-means (https://doi.org/10.1109/TIT.1982.1056489). The first center is the point nearest to the mean; each
    next one is the point farthest from all centers so far. Deterministic. Equal points are always in one cluster:
    distances are computed once for them, because a matrix product may round each row differently.
    """
    distinct: Tensor
    which: Tensor
    distinct, which = torch.unique(points, dim=0, return_inverse=True)
    if count >= len(distinct):
        return which
    centers = points[_choose_centers(points, count)]
    for _ in range(ITERATIONS):
        nearest = torch.cdist(distinct, centers).argmin(dim=1)[which]
        sums = torch.zeros_like(centers).index_add_(0, nearest, points)
        counts = torch.bincount(nearest, minlength=count)[:, None]
        centers = torch.where(counts > 0, sums / counts.clamp_min(1), centers)
    return torch.cdist(distinct, centers).argmin(dim=1)[which]


def _choose_centers(points: Tensor, count: int) -> list[int]:
    chosen = [int((points - points.mean(dim=0)).square().sum(dim=1).argmin())]
    distances = (points - points[chosen[0]]).square().sum(dim=1)
    for _ in range(count - 1):
        chosen.append(int(distances.argmax()))
        distances = torch.minimum(distances, (points - points[chosen[-1]]).square().sum(dim=1))
    return chosen
