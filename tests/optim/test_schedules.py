import pickle

import numpy as np
import pytest

from minirnn.optim import ReduceOnPlateau, constant, cosine, exponential, linear, one_cycle, step_decay, warmed_up


def test_constant():
    assert [constant(0.1)(step) for step in (0, 10**6)] == [0.1, 0.1]


@pytest.mark.parametrize(
    ("ours", "theirs", "options"),
    [
        (cosine(0.3, 20, final=0.05), "CosineAnnealingLR", {"T_max": 20, "eta_min": 0.05}),
        (linear(0.3, 20, final=0.03), "LinearLR", {"start_factor": 1.0, "end_factor": 0.1, "total_iters": 20}),
        (step_decay(0.3, 6, factor=0.5), "StepLR", {"step_size": 6, "gamma": 0.5}),
        (exponential(0.3, 20, final=0.3 * 0.9**20), "ExponentialLR", {"gamma": 0.9}),
        (one_cycle(0.3, 20), "OneCycleLR", {"max_lr": 0.3, "total_steps": 20}),
        (one_cycle(0.3, 20, rise=0.5, start_factor=0.1), "OneCycleLR",
         {"max_lr": 0.3, "total_steps": 20, "pct_start": 0.5, "div_factor": 10.0}),
    ],
)  # fmt: skip
def test_equal_to_torch(ours, theirs, options, torch):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = getattr(torch.optim.lr_scheduler, theirs)(optimizer, **options)
    for step in range(20):
        assert np.isclose(ours(step), scheduler.get_last_lr()[0]), step
        optimizer.step()
        if step < 19:
            scheduler.step()


def test_reduce_on_plateau_equals_torch(torch):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, min_lr=0.02)
    ours = ReduceOnPlateau(0.3, factor=0.5, patience=2, minimum=0.02)
    rng = np.random.default_rng(0)
    for i in range(60):
        metric = 1 / (1 + i) + rng.uniform(0, 0.3)
        theirs.step(metric)
        ours.observe(metric)
        assert np.isclose(ours(i), optimizer.param_groups[0]["lr"]), i
    assert ours(60) == 0.02


def test_reduce_on_plateau_goes_on_from_its_state():
    one, other = ReduceOnPlateau(1.0, patience=1), ReduceOnPlateau(1.0, patience=1)
    one.observe(1.0)
    one.observe(float("nan"))
    other.load_state_dict(one.state_dict())
    other.observe(2.0)
    assert other(0) == 0.1
    with pytest.raises(ValueError, match="numbers lr, best, waited"):
        other.load_state_dict({"lr": "fast"})


def test_cosine_rises_falls_and_stays():
    schedule = cosine(1.0, 30, final=0.2, warmup=10)
    assert np.allclose([schedule(step) for step in (0, 4, 9, 10)], [0.1, 0.5, 1.0, 1.0])
    assert np.isclose(schedule(20), 0.6)
    assert np.allclose([schedule(30), schedule(300)], 0.2)
    assert all(schedule(step) > schedule(step + 1) for step in range(10, 30))


def test_a_warm_up_leads_to_where_any_schedule_begins():
    schedule = warmed_up(step_decay(1.0, 2), 4)
    assert np.allclose([schedule(step) for step in range(8)], [0.25, 0.5, 0.75, 1, 1, 1, 0.1, 0.1])


@pytest.mark.parametrize("schedule", [linear(1.0, 5, final=0.5), exponential(1.0, 5, final=0.5), one_cycle(1.0, 5)])
def test_past_its_end_a_schedule_stays(schedule):
    assert schedule(50) == schedule(500) == pickle.loads(pickle.dumps(schedule))(50)


@pytest.mark.parametrize("arguments", [{"steps": 0}, {"steps": 5, "warmup": 6}, {"steps": 5, "warmup": -1}])
def test_cosine_refuses_impossible_lengths(arguments):
    with pytest.raises(ValueError, match="warmup <= steps"):
        cosine(1.0, **arguments)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: linear(1.0, 0), "0 steps"),
        (lambda: warmed_up(constant(1.0), -1), "warmup=-1"),
        (lambda: step_decay(1.0, 5, factor=0.0), "factor 0.0"),
        (lambda: exponential(1.0, 5, final=0.0), r"final=0\.0"),
        (lambda: one_cycle(1.0, 5, rise=2.0), r"rise=2\.0"),
        (lambda: ReduceOnPlateau(1.0, factor=1.0), r"factor=1\.0"),
        (lambda: ReduceOnPlateau(1.0, patience=-1), "patience=-1"),
    ],
)
def test_options_out_of_range_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()
