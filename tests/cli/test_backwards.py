"""Which function beside another is its backward, and which only looks like it."""

from types import ModuleType

import pytest

from minirnn.cli.backwards import beside


def module(*names, imported=()):
    made = ModuleType("mine")
    for name in names:
        exec(f"def {name}(): pass", made.__dict__)
        getattr(made, name).__module__ = "elsewhere" if name in imported else "mine"
    return made


NEAR = """{0}_backwards backward_{0} {0}_bwd {0}_grad grad_{0} d_{0} {0}_backwrd {0}_Backward {0}Backward {0}_back
{0}_gradient _{0}_backward {0}_vjps {0}_bakward {0}backward bwd_{0} vjp_{0} gradient_of_{0} backward grad
{0}_backward_pass {0}_grads {0}_backward2 {0}__backward {0}_bp {0}_pullback {0}_derivative {0}_prime backprop_{0}
{0}_backward_fn {0}_bptt numpy_{0}_backward"""


@pytest.mark.parametrize("name", ["f", "layer", "lstm_step", "softmax_loss", "forward", "layer_forward", "lossFn"])
def test_a_near_miss_is_an_error_that_says_the_right_name(name):
    for near in NEAR.format(name).split():
        with pytest.raises(ValueError, match=f"{near} beside {name} looks like .* {name}_backward or {name}_vjp"):
            beside(module(name, near), name)


@pytest.mark.parametrize("near", ["df", "fgrad", "F_backward"])
def test_a_short_name_has_its_own(near):
    with pytest.raises(ValueError, match="looks like its backward"):
        beside(module("f", near), "f")


def test_a_slip_in_the_functions_own_name_and_the_name_without_forward():
    for name, near in (("softmax", "sofmax_backward"), ("layer_forward", "layer_backward"), ("layer_fwd", "layer_vjp")):
        with pytest.raises(ValueError, match=f"{near} beside {name}"):
            beside(module(name, near), name)


@pytest.mark.parametrize("suffix", ["backward", "vjp"])
def test_the_right_name_is_found_whatever_else_is_there(suffix):
    names = ("f", f"f_{suffix}", "f_grad", "backward")
    assert beside(module(*names), "f").__name__ == f"f_{suffix}"


def test_what_is_no_function_is_refused():
    owner = module("f")
    owner.f_backward = None
    with pytest.raises(ValueError, match="f_backward is NoneType, a function was expected"):
        beside(owner, "f")
    owner = module("f")
    owner.f_grad = 3  # a number is no backward
    assert beside(owner, "f") is None


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("f", "g g_backward fast f_args find feedback fd2 f_forward"),
        ("rnn", "rnn2 rnn2_backward lstm lstm_backward numpy_rnn"),
        ("layer", "layer_norm layer_norm_backward player add_layer"),
        ("loss", "loss_grad_norm gradient_flow lossless loss_backward_norm"),
        ("softmax", "sofmax sofmax_backward"),
    ],
)
def test_other_functions_and_their_backwards_are_left_alone(name, others):
    assert beside(module(name, *others.split()), name) is None


def test_an_imported_grad_is_not_taken_for_a_backward():
    assert beside(module("f", "grad", "vjp", imported=("grad", "vjp")), "f") is None
