"""Clusters of points."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from block.model.kmeans import cluster_points


def test_separate_clouds_get_separate_clusters() -> None:
    generator = torch.Generator().manual_seed(0)
    centers = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    points = torch.cat([center + torch.randn(30, 2, generator=generator) for center in centers])
    groups = cluster_points(points, 3).view(3, 30)
    assert (groups == groups[:, :1]).all()
    assert len(set(groups[:, 0].tolist())) == 3


def test_the_first_cluster_is_the_one_around_the_point_nearest_to_the_mean() -> None:
    assert cluster_points(torch.tensor([[10.0], [18.0], [20.0]]), 2).tolist() == [1, 0, 0]


@given(st.integers(26, 60), st.integers(2, 25))
def test_equal_points_stay_together_even_if_distances_are_rounded_differently(points: int, count: int) -> None:
    # From 26 points on, torch.cdist uses a matrix product, whose rows a CPU may round differently.
    exact = torch.cdist

    def uneven(points: torch.Tensor, centers: torch.Tensor) -> torch.Tensor:
        distances = exact(points, centers)
        distances[::2] += torch.linspace(1e-4, 0, distances.shape[1])
        return distances

    generator = torch.Generator().manual_seed(points * count)
    kind = torch.randint(3, (points,), generator=generator)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "cdist", uneven)
        groups = cluster_points(torch.randn(3, 3, generator=generator)[kind], count)
    same_group, same_kind = groups[:, None] == groups, kind[:, None] == kind
    assert (same_group | ~same_kind).all()


@given(st.integers(1, 40), st.integers(1, 50), st.integers(1, 5))
def test_every_point_is_in_a_cluster_and_equal_points_share_one(points: int, count: int, kinds: int) -> None:
    generator = torch.Generator().manual_seed(points * count)
    kind = torch.randint(kinds, (points,), generator=generator)
    groups = cluster_points(torch.randn(kinds, 3, generator=generator)[kind], count)
    assert groups.shape == (points,)
    assert groups.min() >= 0
    assert groups.max() < max(count, points)
    if kinds <= count < points:
        assert ((groups[:, None] == groups) == (kind[:, None] == kind)).all()
