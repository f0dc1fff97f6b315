import os
import signal
import threading
import time

import autograd.numpy as anp
import numpy as np
import pytest

import minirnn
from minirnn import boxes, threads
from minirnn.compile import engine as compiled
from minirnn.compile.llvm import objects
from minirnn.locks import Lock

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
HANG = 600  # seconds: a child compiles, on a machine that may be busy
LOCKS = [boxes.tracing, threads._starting, threads.single_threaded_blas._lock, objects._lock]


def in_a_child(function):
    """What a forked child's function returns: True or False; a child that hangs fails in the end."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(HANG)
            code = 0 if function() else 2
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class Elsewhere:
    """A block within which another thread holds what `enter` gives."""

    def __init__(self, enter):
        self.enter, self.inside, self.done = enter, threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        with self.enter():
            self.inside.set()
            self.done.wait()

    def __enter__(self):
        self.thread.start()
        assert self.inside.wait(HANG)

    def __exit__(self, *error):
        self.done.set()
        self.thread.join()


def gradient_is_right():
    x = np.arange(3.0)
    layer = minirnn.GRU(3, 4, rng=np.random.default_rng(0), engine="compiled", dtype=np.float64)
    minirnn.grad(lambda layer: anp.sum(layer(np.ones((5, 2, 3)))[0]))(layer)
    return np.array_equal(minirnn.grad(lambda x: anp.sum(x * x))(x), 2 * x)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_forked_while_another_thread_is_in_a_gradient_computes_its_own():
    with Elsewhere(boxes.new_trace):
        assert in_a_child(gradient_is_right)
    assert gradient_is_right()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("lock", range(len(LOCKS)))
def test_a_child_finds_every_lock_free_that_another_thread_held(lock):
    with Elsewhere(lambda: LOCKS[lock]):
        assert in_a_child(lambda: LOCKS[lock].__enter__() is None and gradient_is_right())


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_is_not_held_to_one_thread_of_blas_by_a_thread_that_is_gone():
    before = [pool.get_num_threads() for pool in threads._blas_pools()]
    with Elsewhere(lambda: threads.single_threaded_blas):
        assert in_a_child(lambda: [pool.get_num_threads() for pool in threads._blas_pools()] == before)
    assert [pool.get_num_threads() for pool in threads._blas_pools()] == before


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_forked_inside_a_gradient_goes_on_with_it():
    outcome = []

    def loss(x):
        y = anp.sum(x**3)
        outcome.append(in_a_child(lambda: np.array_equal(minirnn.grad(lambda x: x * 2.0)(np.array(1.0)), 2.0)))
        return y

    assert np.allclose(minirnn.grad(loss)(np.array([2.0])), 12)
    assert outcome == [True]


def test_the_lock_is_re_entrant_and_keeps_others_out():
    lock, order = Lock(), []

    def other():
        with lock:
            order.append("other")

    with lock, lock:
        thread = threading.Thread(target=other)
        thread.start()
        time.sleep(0.01)
        order.append("first")
    thread.join()
    assert order == ["first", "other"]


def test_a_gradient_and_a_first_call_elsewhere_do_not_wait_for_each_other(monkeypatch):
    in_gradient, made = threading.Event(), compiled._made

    def slowly(*args):
        in_gradient.wait(0.2)  # the gradient has begun, or waits for this to end
        return made(*args)

    monkeypatch.setattr(compiled, "_made", slowly)
    layers = [minirnn.GRU(3, n, engine="compiled", rng=np.random.default_rng(0)) for n in (5, 6)]
    xs, results = np.ones((4, 2, 3), np.float32), []

    def loss(layer):
        in_gradient.set()
        return anp.sum(layer(xs)[0])

    calls = [lambda: layers[0](xs)[0], lambda: minirnn.grad(loss)(layers[1])]
    workers = [threading.Thread(target=lambda call=call: results.append(call()), daemon=True) for call in calls]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(HANG)
    assert len(results) == 2
