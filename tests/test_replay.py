"""The data structures that replays are made of."""

import numpy as np
import pytest

from npfl139.replay import StreamStore, SumTree

FIELDS = {"frame": ((2,), "uint8", 3), "reward": ((), "float32")}


@pytest.mark.parametrize("capacity", [1, 2, 5, 8, 100])
def test_sum_tree_finds_what_a_scan_of_the_cumulative_weights_finds(capacity):
    rng = np.random.default_rng(capacity)
    tree, weights = SumTree(capacity), np.zeros(capacity)
    for _ in range(20):
        leaves = rng.integers(capacity, size=rng.integers(1, 2 * capacity + 1))
        new = rng.uniform(size=len(leaves)) * (rng.random(len(leaves)) < 0.7) + (leaves == 0)
        tree.set(leaves, new)
        for leaf, weight in zip(leaves, new, strict=True):
            weights[leaf] = weight
        assert tree.total == pytest.approx(weights.sum())
        mass = rng.uniform(size=50) * tree.total
        np.testing.assert_array_equal(tree.find(mass), np.searchsorted(weights.cumsum(), mass, side="right"))
        np.testing.assert_array_equal(tree[np.arange(capacity)], weights)


def test_sum_tree_finds_no_leaf_of_weight_zero_even_beyond_the_total():
    tree = SumTree(8)
    tree.set(np.array([1, 4]), np.array([0.1, 0.2]))
    assert set(tree.find(np.array([0.0, 0.0999, 0.1, 0.3, tree.total, 1.0])).tolist()) == {1, 4}


def test_sum_tree_keeps_no_rounding_errors_of_the_past():
    tree = SumTree(4)
    for _ in range(100):
        tree.set(np.array([0]), 1e16)
        tree.set(np.array([1]), 0.1)
        tree.set(np.array([0]), 0.0)
    assert tree.total == 0.1


def test_sum_tree_refuses_what_cannot_be_a_weight():
    tree = SumTree(4)
    for weight in (np.nan, np.inf, -1.0):
        with pytest.raises(ValueError, match="NaN or infinity"):
            tree.set(np.array([0, 1]), np.array([1.0, weight]))
    assert tree.total == 0
    with pytest.raises(ValueError, match="nothing to sample"):
        tree.find(np.array([0.0]))
    with pytest.raises(ValueError, match="capacity 0"):
        SumTree(0)


def filled(rows, counts):
    """Return a store whose stream b has counts[b] rows with frame [b, r] and reward r."""
    store = StreamStore(FIELDS, len(counts), rows)
    for r in range(max(counts)):
        stream = np.flatnonzero(np.array(counts) > r)
        store.append(stream, {"frame": np.stack([stream, np.full(len(stream), r)], 1), "reward": np.full(len(stream), r)})
    return store


def test_rows_come_back_until_they_are_overwritten():
    store = filled(6, [4, 15])
    rows = store.read(np.array([0, 1, 1]), np.array([[0, 9, 14], [3, 10, 12]]), np.array([0, 9, 9]))
    np.testing.assert_array_equal(rows["reward"], [[0, 9, 14], [3, 10, 12]])
    for stream, position in ((0, 4), (1, 8), (1, 15)):
        with pytest.raises(IndexError, match="not, or no longer"):
            store.read(np.array([stream]), np.array([[position]]), np.array([0]))


def test_a_stack_repeats_the_first_row_of_its_episode():
    frames = filled(10, [8, 8]).read(np.array([1, 1]), np.array([[4, 4], [7, 5]]), np.array([4, 0]))["frame"]
    assert frames.shape == (2, 2, 3, 2)
    np.testing.assert_array_equal(frames[..., 1], [[[4, 4, 4], [2, 3, 4]], [[5, 6, 7], [3, 4, 5]]])
    assert (frames[..., 0] == 1).all()


def test_memory_is_fixed_and_holds_each_row_once():
    store = filled(50, [1, 2, 3])
    before = store.nbytes
    assert before == 50 * 3 * (2 * 1 + 4) + 3 * 8
    for r in range(200):
        store.append(np.arange(3), {"frame": np.zeros((3, 2)), "reward": np.zeros(3)})
    assert store.nbytes == before


def test_rows_of_the_wrong_kind_are_refused():
    store = StreamStore(FIELDS, 2, 5)
    with pytest.raises(ValueError, match="columns"):
        store.append(np.array([0]), {"reward": np.zeros(1)})
    with pytest.raises(ValueError, match=r"frame must have shape \[1, 2\], got \[2\]"):
        store.append(np.array([0]), {"frame": np.zeros(2), "reward": np.zeros(1)})
    with pytest.raises(ValueError, match="at least 1"):
        StreamStore(FIELDS, 0, 5)


def test_saved_rows_are_loaded_and_only_new_ones_are_written(tmp_path):
    store = filled(6, [4, 5])
    store.save(tmp_path)
    store.columns["reward"][0, 0] = 99  # a row that is already saved
    store.append(np.array([1]), {"frame": np.array([[1, 5]]), "reward": np.array([5])})
    store.append(np.array([1]), {"frame": np.array([[1, 6]]), "reward": np.array([6])})
    store.save(tmp_path)
    other = StreamStore(FIELDS, 2, 6)
    np.testing.assert_array_equal(other.load(tmp_path), [0, 1])
    np.testing.assert_array_equal(other.written, [4, 7])
    np.testing.assert_array_equal(other.columns["reward"][:, 0], [0, 1, 2, 3, 0, 0])
    np.testing.assert_array_equal(other.columns["reward"][:, 1], [6, 1, 2, 3, 4, 5])


def test_an_interrupted_save_says_which_rows_are_intact(tmp_path, monkeypatch):
    store = filled(6, [6])
    store.save(tmp_path)
    for r in range(6, 9):
        store.append(np.array([0]), {"frame": np.array([[0, r]]), "reward": np.array([r])})
    monkeypatch.setattr(np.memmap, "flush", lambda self: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        store.save(tmp_path)
    monkeypatch.undo()
    other = StreamStore(FIELDS, 1, 6)
    assert other.load(tmp_path).tolist() == [3]
    assert other.written.tolist() == [6]
    np.testing.assert_array_equal(other.read(np.array([0]), np.array([[3], [4], [5]]), np.array([3]))["reward"][:, 0], [3, 4, 5])
    store.save(tmp_path)
    assert other.load(tmp_path).tolist() == [3] and other.written.tolist() == [9]


def test_rows_of_another_store_are_not_loaded(tmp_path):
    filled(6, [3]).save(tmp_path)
    with pytest.raises(ValueError, match="holds frame of shape"):
        StreamStore(FIELDS, 1, 7).load(tmp_path)
    with pytest.raises(OSError):
        StreamStore(FIELDS, 1, 6).load(tmp_path / "nowhere")
