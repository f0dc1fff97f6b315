import autograd.numpy as anp
import numpy as np
import pytest

import minirnn
from minirnn import Embedding, EmbeddingDropout


def seeded(seed=0):
    return np.random.default_rng(seed)


def made(words=20, size=3, p=0.5, **options):
    return EmbeddingDropout(Embedding(words, size, rng=seeded(), **options), p)


def test_a_word_is_dropped_at_all_its_places_or_at_none(rng):
    layer, tokens = made(), rng.permutation(np.repeat(np.arange(20), 3)).reshape(6, 10)
    dropped = layer(tokens, rng=seeded())
    factor = dropped / layer.embedding(tokens)
    for word in range(20):
        (value,) = np.unique(np.round(factor[tokens == word], 5))
        assert value in (0, 2)
    assert {0, 2} == set(np.unique(np.round(factor, 5)))
    assert dropped.dtype == np.float32


def test_it_is_the_product_of_the_table_with_a_mask_of_rows(rng):
    layer, tokens = made(dtype=np.float64), rng.integers(0, 20, (4, 5))
    mask = layer(np.arange(20), rng=seeded(3))[:, :1] / layer.embedding.weight[:, :1]
    np.testing.assert_allclose(layer(tokens, rng=seeded(3)), (mask * layer.embedding.weight)[tokens])


def test_the_share_of_dropped_words_is_p():
    layer = made(words=20000, size=1, p=0.2)
    dropped = layer(np.arange(20000), rng=seeded())
    assert abs((dropped == 0).mean() - 0.2) < 0.01


def test_a_dropped_word_gets_no_gradient_and_the_gradient_is_right(rng, gradcheck):
    layer, tokens = made(dtype=np.float64), np.arange(20)
    loss = lambda layer: anp.sum(anp.tanh(layer(tokens, rng=seeded())) ** 2)
    dropped = (layer(tokens, rng=seeded()) == 0).all(axis=1)
    gradient = minirnn.grad(loss)(layer)["embedding.weight"]
    assert (gradient.any(axis=1) == ~dropped).all()
    assert gradcheck(lambda w: loss(layer.bind({"embedding.weight": w})), layer.embedding.weight).ok


def test_without_an_rng_it_is_the_embedding():
    layer, tokens = made(), np.arange(6).reshape(2, 3)
    assert np.array_equal(layer(tokens), layer.embedding(tokens))
    with pytest.warns(UserWarning, match="differentiated without noise"):
        minirnn.grad(lambda layer: anp.sum(layer(tokens)))(layer)


def test_bad_input_is_refused():
    with pytest.raises(TypeError, match="Linear came, an Embedding"):
        EmbeddingDropout(minirnn.Linear(2, 3))
    with pytest.raises(ValueError, match="dropout -1 came"):
        made(p=-1)
    with pytest.raises(ValueError, match="token 20 came"):
        made()(np.array([20]), rng=seeded())
