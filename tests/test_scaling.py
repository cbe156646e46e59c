import torch

from npfl139.scaling import Scale
from solutions.ppo import RunningMoments


def test_the_scale_is_that_of_all_rows_as_merging_them_finds_it():
    generator = torch.Generator().manual_seed(1)
    scale, moments = Scale(3), RunningMoments(3)
    rows = 1000 + torch.randn(70, 3, generator=generator, dtype=torch.float64) * torch.tensor([0.01, 1, 100])
    for part in rows.split([1, 2, 30, 37]):
        scale.update(part)
        moments.update(part)
    torch.testing.assert_close(scale.mean, moments.mean.float())
    torch.testing.assert_close(scale.std, moments.variance.sqrt().float())
    torch.testing.assert_close(scale.restored(scale.normalized(rows)), rows)


def test_before_the_first_row_nothing_changes():
    assert torch.equal(Scale(2).normalized(torch.tensor([[1.0, 2.0]])), torch.tensor([[1.0, 2.0]]))


def test_what_never_changes_is_scaled_to_something_finite():
    constant = Scale(1)
    constant.update(torch.full((5, 1), 3.0))
    assert torch.isfinite(constant.normalized(torch.tensor([[3.0], [4.0]]))).all()
