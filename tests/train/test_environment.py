import numpy as np
import pytest

import minirnn
from minirnn.tier import tier
from minirnn.train.environment import changes, environment, same_kernels


def model(**options):
    rng = np.random.default_rng(0)
    return minirnn.Sequential(
        minirnn.GRU(2, 3, rng=rng, **options), minirnn.Recurrent(minirnn.cells.MGU(3, 3, rng=rng))
    )


def test_it_names_the_engine_of_each_cell_the_tier_and_the_threads():
    found = environment(model())
    assert set(found["engine"].values()) == {"compiled"}
    assert found["tier"] in ("native", "numpy")
    assert found["threads"] == minirnn.get_num_threads()
    assert found["versions"]["numpy"] == np.__version__


@pytest.mark.parametrize("choose", [lambda: model(engine="python"), model], ids=["of the layer", "of the block"])
def test_a_chosen_engine_is_what_it_names(choose):
    with minirnn.engine("python"):
        assert set(environment(choose())["engine"].values()) == {"python"}


def test_differences_are_said():
    now = environment(model())
    assert changes(now, now) == ""
    assert changes({**now, "threads": 99}, now) == f"threads was 99, is {now['threads']}"


def test_kernels_are_put_back_to_what_they_were_for_a_block():
    before = environment(model())
    there = {"tier": "numpy", "threads": before["threads"] + 1, "blas_threads": 1}
    with same_kernels(there):
        assert environment(model()).items() >= there.items()
    assert environment(model()) == before


@pytest.mark.parametrize("nonsense", [{}, {"tier": "quantum", "threads": -1}, {"tier": None, "threads": "two"}])
@pytest.mark.parametrize("chosen", ["auto", "numpy"])
def test_what_makes_no_sense_changes_nothing(chosen, nonsense):
    with tier(chosen):
        before = environment(model())
        with same_kernels(nonsense):
            assert environment(model()) == before
