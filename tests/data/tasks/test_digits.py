import numpy as np
import pytest
from task_cases import DIGITS, loss, made


def test_pixels_and_rows_are_the_same_pictures():
    pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install 'minirnn[digits]'")
    from sklearn.datasets import load_digits

    pixels, rows = (made(DIGITS, rows=rows).datasets() for rows in (False, True))
    pictures, digits = load_digits(return_X_y=True)
    keys = [picture.tobytes() for picture in (pictures / 16).astype(np.float32)]
    by_content = dict(zip(keys, digits, strict=True))
    came = 0
    for own_pixels, own_rows in zip(pixels, rows, strict=True):
        for x, y, digit in zip(own_pixels.xs, own_rows.xs, own_pixels.targets, strict=True):
            assert (x.shape, y.shape) == ((64, 1), (8, 8))
            assert x.tobytes() == y.tobytes()
            assert by_content[x.tobytes()] == digit
            came += 1
    assert came == 1797


@pytest.mark.parametrize("rows", [False, True])
def test_permuted_pixels_are_in_one_other_order(rows):
    plain, permuted = (np.stack(made(DIGITS, rows=rows, permuted=p).datasets()[0].xs) for p in (False, True))
    plain, permuted = (xs.reshape(len(xs), 64) for xs in (plain, permuted))
    assert np.array_equal(np.sort(plain), np.sort(permuted))
    assert np.mean(plain == permuted) < 0.6


def test_held_out_pictures_come_once_and_never_in_training(rng):
    task = made(DIGITS, rows=True)
    held_out = task.held_out(rng, 10_000)
    pictures = {held_out.inputs[:, b].tobytes() for b in range(len(held_out.lengths))}
    assert len(pictures) == len(held_out.lengths) == round(0.2 * 1797)
    batch = task.batch(rng, 1000)
    assert not pictures & {batch.inputs[:, b].tobytes() for b in range(1000)}


def test_a_guess_has_the_baselines_loss(rng):
    task = made(DIGITS, rows=True)
    batch = task.held_out(rng, 500)
    assert task.baseline == pytest.approx(loss(batch, np.zeros((8, len(batch.lengths), 10))))
    assert np.bincount(batch.targets).max() < 0.15 * len(batch.lengths)
