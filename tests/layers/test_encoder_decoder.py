"""Encoder-decoders: teacher forcing is what decoding does step by step, and attention is Bahdanau's equations."""

import autograd.numpy as np
import numpy as onp
import pytest

import minirnn
from minirnn import Embedding, Linear, Sequential
from minirnn.layers import AdditiveAttention, AttentionCell, AttentionDecoder, DotAttention, EncoderDecoder

V, E, H, START, END = 6, 3, 4, 0, 5


def make(kind, rng, dtype=onp.float64):
    options = {"rng": rng, "dtype": dtype}
    if kind == "plain":
        encoder = Sequential(Embedding(V, E, **options), minirnn.LSTM(E, H, num_layers=2, **options))
        decoder = Sequential(
            Embedding(V, E, **options), minirnn.LSTM(E, H, num_layers=2, **options), Linear(H, V, **options)
        )
        return EncoderDecoder(encoder, decoder, start=START, end=END)
    cell, attention = {
        "additive": lambda: (minirnn.GRUCell(E + H, H, **options), AdditiveAttention(H, H, 3, **options)),
        "dot": lambda: (minirnn.LSTMCell(E + H, H, **options), DotAttention(H, scaled=True)),
        "general": lambda: (minirnn.cells.MGU(E + H, H, **options), DotAttention(H, general=True, **options)),
    }[kind]()
    layer = minirnn.LSTM(E, H, **options) if kind == "dot" else minirnn.GRU(E, H, **options)
    encoder = Sequential(Embedding(V, E, **options), layer)
    decoder = AttentionDecoder(Embedding(V, E, **options), cell, attention, Linear(2 * H, V, **options))
    return EncoderDecoder(encoder, decoder, start=START, end=END, bridge=Last())


class Last(minirnn.Module):
    """The last layer's state: (1, B, H) of a Sequential -> (B, H)."""

    def __call__(self, states):
        return minirnn.tree.map(lambda leaf: leaf[-1], states[0])


kinds = pytest.mark.parametrize("kind", ["plain", "additive", "dot", "general"])


def batch(rng, count=3):
    source, lengths = rng.integers(0, V, (5, count)), onp.array([5, 2, 3])[:count]
    targets = onp.concatenate([onp.full((1, count), START), rng.integers(1, V, (4, count))])
    return source, targets, lengths


@kinds
def test_teacher_forcing_gives_what_the_decoder_gives_step_by_step(kind, rng):
    model = make(kind, rng)
    source, inputs, lengths = batch(rng)
    logits = model(source, inputs, lengths=lengths)
    for b in range(3):
        memory, state = model.encode(source[: lengths[b], b : b + 1])
        more = {} if kind == "plain" else {"memory": memory}
        for t in range(len(inputs)):
            step, state = model.decoder(inputs[t : t + 1, b : b + 1], state, **more)
            assert onp.allclose(step[0, 0], logits[t, b], atol=1e-12)


@kinds
def test_greedy_decoding_takes_its_own_likeliest_tokens(kind, rng):
    model = make(kind, rng)
    source, _, lengths = batch(rng)
    found = model.greedy(source, lengths=lengths, max_steps=6)
    taken = onp.concatenate([onp.full((1, 3), START), found.tokens])
    likeliest = model(source, taken, lengths=lengths).argmax(axis=2)
    for b, n in enumerate(found.lengths):
        assert (likeliest[:n, b] == found.tokens[:n, b]).all()
        assert n == 6 or likeliest[n, b] == END


@kinds
def test_beams_of_a_batch_are_scored_by_the_model(kind, rng):
    model = make(kind, rng)
    source, _, lengths = batch(rng)
    greedy = model.greedy(source, lengths=lengths, max_steps=4)
    one = model.beam(source, lengths=lengths, max_steps=4, width=1)
    assert all(onp.allclose(a, b) for a, b in zip(greedy, one, strict=True))
    wide = model.beam(source, lengths=lengths, max_steps=4, width=V**4)
    assert (wide.log_probs >= greedy.log_probs - 1e-9).all()
    for b, n in enumerate(wide.lengths):
        tokens = [*wide.tokens[:n, b], *([END] if n < 4 else [])]
        inputs = onp.array([[START, *tokens[:-1]]]).T
        log_p = minirnn.functional.log_softmax(model(source[:, [b]], inputs, lengths=lengths[[b]]))[:, 0]
        assert onp.isclose(log_p[onp.arange(len(tokens)), tokens].sum(), wide.log_probs[b])


@kinds
def test_gradients_are_right(kind, rng):
    model = make(kind, rng)
    source, inputs, lengths = batch(rng)
    loss = lambda model: np.sum(np.tanh(model(source, inputs, lengths=lengths)))
    values, (grads,) = model.parameters(), minirnn.vjp(loss, model)[1](onp.ones(()))
    for name, g in grads.items():  # each array along a direction of its own
        v = rng.standard_normal(g.shape)
        ahead, back = (loss(model.bind({name: values[name] + eps * v})) for eps in (1e-5, -1e-5))
        assert onp.isclose(onp.sum(g * v), (ahead - back) / 2e-5, rtol=1e-6, atol=1e-8), name


@pytest.mark.parametrize("kind", ["additive", "dot", "general"])
def test_an_attention_cell_is_its_equations(kind, rng):
    decoder = make(kind, rng).decoder
    memory, lengths = rng.standard_normal((5, 2, H)), onp.array([5, 3])
    memory[3:, 1] = onp.nan
    tokens = rng.integers(0, V, (3, 2))
    logits, final = decoder(tokens, memory=memory, memory_lengths=lengths)
    weights = decoder.alignments(tokens, memory=memory, memory_lengths=lengths)
    cell, state = decoder.cell.cell, decoder.cell.initial_state(2)
    for t in range(3):
        query = state.h if kind == "dot" else state
        context, expected = decoder.cell.attention(query, memory, lengths=lengths)
        x = decoder.embedding(tokens[t])
        state, output = cell.step(state, onp.concatenate([x, context], axis=1))
        assert onp.allclose(weights[t], expected)
        assert onp.allclose(decoder.head(onp.concatenate([output, context], axis=1)), logits[t])
    assert all(onp.allclose(*pair) for pair in zip(minirnn.tree.leaves(final), minirnn.tree.leaves(state), strict=True))


@pytest.mark.parametrize("kind", ["plain", "additive"])
def test_float32_stays_float32_and_the_rng_reaches_dropout(kind, rng):
    model = make(kind, rng, onp.float32)
    source, inputs, lengths = batch(rng)
    loss = lambda model: np.sum(model(source, inputs, lengths=lengths) ** 2)
    assert {g.dtype for g in minirnn.grad(loss)(model).values()} == {onp.dtype("f")}
    if kind == "additive":
        head = Sequential(minirnn.Dropout(0.5), model.decoder.head.layers[0])
        model.decoder.head = head
        assert not onp.allclose(model(source, inputs), model(source, inputs, rng=rng))


def test_a_bridge_makes_one_state_of_two(rng):
    encoder = Sequential(Embedding(V, E, rng=rng), minirnn.LSTM(E, H, bidirectional=True, rng=rng))
    decoder = Sequential(Embedding(V, E, rng=rng), minirnn.LSTM(E, 2 * H, rng=rng), Linear(2 * H, V, rng=rng))

    def both(states):
        return (minirnn.tree.map(lambda leaf: np.concatenate([leaf[:1], leaf[1:]], axis=-1), states[0]),)

    model = EncoderDecoder(encoder, decoder, start=START, end=END, bridge=minirnn.Function(both))
    source, inputs, lengths = batch(rng)
    assert model(source, inputs, lengths=lengths).shape == (5, 3, V)
    assert model.beam(source, lengths=lengths, max_steps=3, width=2).tokens.shape[1] == 3


@pytest.mark.parametrize(
    ("make_cell", "error", "says"),
    [
        (lambda: (minirnn.GRUCell(3, 4), DotAttention(4)), ValueError, "input_size is 3, more than memory_size=4"),
        (lambda: (minirnn.GRUCell(9, 5), DotAttention(4)), ValueError, "state has 5 features, query_size is 4"),
        (lambda: (minirnn.cells.PhasedLSTM(9, 4), DotAttention(4)), TypeError, "makes noise, masks or time"),
    ],
)
def test_cells_that_do_not_fit_an_attention_are_errors_that_say_why(make_cell, error, says):
    with pytest.raises(error, match=says):
        AttentionCell(*make_cell())
