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
        (one_cycle(0.3, 20, rise=0.0), "OneCycleLR", {"max_lr": 0.3, "total_steps": 20, "pct_start": 0.0}),
        (one_cycle(0.3, 20, rise=0.1), "OneCycleLR", {"max_lr": 0.3, "total_steps": 20, "pct_start": 0.1}),
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


@pytest.mark.parametrize("options", [{}, {"factor": 0.5, "patience": 2, "min_lr": 0.02, "threshold": 0.2}])
def test_reduce_on_plateau_equals_torch(options, torch):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
    ours = ReduceOnPlateau(0.3, **{name.replace("min_lr", "minimum"): value for name, value in options.items()})
    rng = np.random.default_rng(0)
    for i in range(60):
        metric = 1 / (1 + i) + rng.uniform(0, 0.3)
        theirs.step(metric)
        ours.observe(metric)
        assert np.isclose(ours(i), optimizer.param_groups[0]["lr"], rtol=1e-9, atol=0), i
    assert ours(60) < 0.1


def test_reduce_on_plateau_takes_what_is_exactly_at_the_threshold_for_no_improvement():
    for best, same, better in ((4.0, 2.0, 1.9), (-4.0, -6.0, -6.1)):
        schedule = ReduceOnPlateau(1.0, patience=0, threshold=0.5, minimum=0.02)
        schedule.observe(best)
        assert schedule(0) == 1.0
        schedule.observe(same)
        assert schedule(0) == 0.1
        schedule.observe(better)
        assert schedule.state_dict() == {"lr": 0.1, "best": better, "waited": 0}


def test_reduce_on_plateau_rises_over_its_warm_up():
    assert [ReduceOnPlateau(2.0, warmup=4)(step) for step in range(6)] == [0.5, 1.0, 1.5, 2.0, 2.0, 2.0]


def test_reduce_on_plateau_goes_on_from_its_state():
    one, other = ReduceOnPlateau(1.0, patience=1), ReduceOnPlateau(1.0, patience=1)
    assert one.state_dict() == {"lr": 1.0, "best": None, "waited": 0}
    other.load_state_dict(one.state_dict())
    one.observe(1.0)
    one.observe(float("nan"))
    other.load_state_dict(one.state_dict())
    assert other.state_dict() == one.state_dict() == {"lr": 1.0, "best": 1.0, "waited": 1}
    other.observe(2.0)
    assert other(0) == 0.1


@pytest.mark.parametrize("wrong", [{"lr": "fast"}, {"lr": None}, {"best": "1"}, {"waited": 0.5}, {"waited": None}])
def test_reduce_on_plateau_refuses_a_state_of_something_else(wrong):
    schedule = ReduceOnPlateau(1.0)
    before = schedule.state_dict()
    with pytest.raises(ValueError, match="numbers lr, best, waited"):
        schedule.load_state_dict({**before, "lr": 0.5, "best": 0.1, "waited": 3, **wrong})
    assert schedule.state_dict() == before


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
        (lambda: step_decay(1.0, 0), "0 steps"),
        (lambda: step_decay(1.0, 5, factor=0.0), "factor 0.0"),
        (lambda: exponential(1.0, 0, final=0.1), "0 steps"),
        (lambda: exponential(1.0, 5, final=0.0), r"final=0\.0"),
        (lambda: exponential(0.0, 5, final=1.0), r"lr=0\.0"),
        (lambda: one_cycle(1.0, 0), "0 steps"),
        (lambda: one_cycle(1.0, 5, rise=2.0), r"rise=2\.0"),
        (lambda: one_cycle(1.0, 5, rise=-0.1), r"rise=-0\.1"),
        (lambda: one_cycle(1.0, 5, start_factor=0.0), "factor 0.0"),
        (lambda: one_cycle(1.0, 5, final_factor=0.0), "factor 0.0"),
        *((lambda options=options: ReduceOnPlateau(**{"lr": 1.0, **options}), f"{name}={value}")
          for options in ({"factor": 1.0}, {"factor": 0.0}, {"patience": -1}, {"warmup": -1}, {"minimum": -0.5},
                          {"minimum": np.nan}, {"threshold": 1.0}, {"threshold": -0.1}, {"lr": 0.0}, {"lr": np.inf})
          for name, value in options.items()),
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_options_at_the_end_of_their_range_are_taken():
    assert ReduceOnPlateau(1.0, patience=0, threshold=0.0, minimum=0.0, warmup=0)(0) == 1.0
    assert warmed_up(constant(1.0), 0)(0) == 1.0
    assert cosine(1.0, 5, warmup=5)(4) == 1.0
    assert [one_cycle(1.0, 5, rise=1.0)(step) for step in (0, 4)] == [pytest.approx(0.04), 1.0]
    assert one_cycle(1.0, 5, rise=0.2)(0) == 1.0  # the top is the first step
