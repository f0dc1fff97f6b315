"""The number of steps that minutes come to, on a clock that only the test moves."""

import pytest

from minirnn.train.budget import LOOKS, Budget


def steps_of(made, clock, seconds_a_step, start=0, first=0.0, **looks):
    """Take steps until their number is known: (steps made until then, the number)."""
    done = start
    while (steps := made.look(done, **looks)) is None:
        clock.now += seconds_a_step + (first if done == start else 0.0)
        done += 1
    return done, steps


def test_steps_that_are_given_are_kept(clock):
    assert Budget(7, None).look(0) == 7
    assert Budget(None, None).look(0) is None


def test_the_minutes_are_filled_and_a_slow_first_step_is_not_taken_for_the_others(clock):
    done, steps = steps_of(Budget(None, 2.0), clock, 0.1, first=5.0)
    assert 30 <= done < 60
    assert steps == pytest.approx((120 - 5) / 0.1, abs=1)


def test_steps_too_slow_for_a_warm_up_are_counted_all_the_same(clock):
    assert steps_of(Budget(None, 1.0), clock, 20.0) == (1, 3)
    assert steps_of(Budget(None, 1.0), clock, 90.0) == (1, 1)


def test_once_known_the_number_stays(clock):
    made = Budget(None, 1.0)
    done, steps = steps_of(made, clock, 0.1)
    clock.now += 1000
    assert made.look(done + 1) == steps


@pytest.mark.parametrize(("val_every", "all_looks", "a_step"), [(None, LOOKS * 2.0, 0.1), (50, 0.0, 0.1 + 2.0 / 50)])
def test_validations_are_timed_and_take_their_part(clock, val_every, all_looks, a_step):
    def validate():
        clock.now += 2.0

    done, steps = steps_of(Budget(None, 1.0), clock, 0.1, validate=validate, val_every=val_every)
    assert steps == pytest.approx(done + (60 - 0.1 * done - 2.0 - all_looks) / a_step, abs=1)


def test_a_resumed_one_goes_on_to_the_known_number_and_with_the_seconds(clock):
    made = Budget(None, 1.0)
    done, steps = steps_of(made, clock, 0.1)
    state, again = made.state_dict(), Budget(None, 1.0)
    clock.now += 1000
    again.load_state_dict(state, done)
    assert again.look(done) == steps
    assert again.seconds() == pytest.approx(0.1 * done)


def test_one_resumed_before_the_number_is_known_works_it_out(clock):
    made, again = Budget(None, 1.0), Budget(None, 1.0)
    for done in range(5):
        assert made.look(done) is None
        clock.now += 0.1
    again.load_state_dict(made.state_dict(), 5)
    clock.now += 1000
    assert steps_of(again, clock, 0.2, start=5)[1] == pytest.approx(5 + (60 - 0.5) / 0.2, abs=1)


def test_a_resumed_one_times_its_own_steps_alone(clock):
    """Those of the process before it were not on this clock, and it warms up anew."""
    made, again = Budget(None, 1.0), Budget(None, 1.0)
    for done in range(100):
        assert made.look(done) is None
        clock.now += 0.01
    again.load_state_dict(made.state_dict(), 100)
    done, steps = steps_of(again, clock, 0.1, start=100)
    assert done >= 130
    assert steps == pytest.approx(100 + (60 - 1) / 0.1, abs=1)


def test_other_minutes_are_worked_out_anew(clock):
    made, again = Budget(None, 1.0), Budget(None, 2.0)
    done, _ = steps_of(made, clock, 0.1)
    again.load_state_dict(made.state_dict(), done)
    assert again.look(done) is None
