"""One loop program run twice: by the interpreter, which checks every index, and as native code, within guards."""

import threading

import numpy as np
from compile_cases import problem

from minirnn.compile import native
from minirnn.compile.address import address
from minirnn.compile.ir import concrete
from minirnn.compile.llvm import products
from minirnn.compile.llvm.target import host
from minirnn.compile.loops.direction import Direction
from minirnn.compile.loops.interpreter import interpret
from minirnn.compile.passes import FUSING, optimised
from minirnn.compile.place import once_nodes, place
from minirnn.compile.trace import trace

GUARD, STEPS, BATCH = 64, 3, 3


def directions(cell, change=lambda function: function):
    given = problem(cell)
    traced = trace(*given)
    placed = place(optimised(traced.graph, FUSING), sink=True)
    return [native._Native(Direction(placed, part, back, native=True), placed, change) for part, back in
            ((placed.forward, False), (placed.backward, True))]  # fmt: skip


def values_for(part, rng):
    """Numbers for every argument, as the interpreter takes them: packed matrices in the order of their rows."""
    placed, rows = part.placed, STEPS * BATCH
    parameters = {node: rng.uniform(0.2, 0.8, node.shape).astype(node.dtype) if node.dtype.kind == "f" else
                  np.ones(node.shape, node.dtype) for node in placed.of_kind("parameter")}  # fmt: skip
    known = part.known(list(parameters.values()))
    kinds = {"x": "input", "y": "d_output", "s": "state", "d": "d_state", "p": "parameter"}
    kinds |= {"in": "state", "anew": "state", "danew": "d_state"}

    def width(node):
        return int(np.prod(node.shape[1:]))

    def random(count, dtype):
        return rng.uniform(0.2, 0.8, count).astype(dtype) if np.dtype(dtype).kind == "f" else np.ones(count, dtype)

    made = []
    for argument in part.arguments:
        kind, k = argument.kind, argument.number
        if kind == "p":
            made.append(parameters[placed.of_kind("parameter")[k]].reshape(-1))
        elif kind in kinds:
            nodes = placed.results("output") if kind == "y" and "keep" in part.flags else placed.of_kind(kinds[kind])
            count = {"s": rows + BATCH, "d": 2 * BATCH, "anew": BATCH, "danew": BATCH}.get(kind, rows)
            made.append(random(count * width(nodes[k]), nodes[k].dtype))
        elif kind == "k":
            stored = placed.stored[k]
            made.append(random(STEPS * int(np.prod(concrete(stored.shape, BATCH))), stored.dtype))
        elif kind == "dx":
            made.append(random(rows * width(placed.of_kind("input")[k]), placed.of_kind("input")[k].dtype))
        elif kind == "sums":
            made.append(random(int(np.prod(part.part.sums[k].shape)), part.part.sums[k].dtype))
        elif kind == "c":
            node = once_nodes(part.part)[k]
            made.append(np.array(known[node], node.dtype).reshape(-1))
        elif kind == "packed":
            node, turned = part.packs[k]
            matrix = np.asarray(known[node], part.dtype)
            made.append(np.ascontiguousarray(matrix.T if turned else matrix).reshape(-1))
        elif kind == "constant":
            made.append(part.constants[k].copy())
        elif kind == "outside":
            made.append((np.arange(rows) % 4 == 1).astype(bool))
        elif kind == "begins":
            made.append((np.arange(rows) % 3 == 1).astype(bool))
        elif kind == "room":
            made.append(np.zeros(products.room_size(host()), part.dtype))
        else:
            made.append(np.zeros(numbers_of(argument), argument.dtype))
    return made


def numbers_of(argument):
    return native._rows(argument.rows, STEPS, BATCH) * native._count(argument.width, STEPS, BATCH)


def strips(matrix, argument, part):
    """A matrix in the order of its rows, packed for native code."""
    dtype = part.dtype.name
    if argument.kind == "packed":
        node, turned = part.packs[argument.number]
        k, n = node.shape[::-1] if turned else node.shape
        out = np.zeros(products.packed_size(host(), dtype, k, n), dtype)
        native._product(dtype, "pack")(address(matrix), n, k, n, address(out))
        return out
    rows, width = native._rows(argument.rows, STEPS, BATCH), native._count(argument.width, STEPS, BATCH)
    return np.zeros(products.packed_size(host(), dtype, rows, width), dtype)


def interpret_team(function, memory, integers, sizes, order):
    """A team's program, its threads one after another up to each barrier, always in this order of their ranks: what one
    uses that another makes must lie behind a barrier, or it comes too late, or too early in the opposite order."""
    turns, failed = [threading.Semaphore(0) for _ in order], []

    def thread(place):
        def pass_on():
            turns[(place + 1) % len(order)].release()

        def meet():
            pass_on()
            turns[place].acquire()

        turns[place].acquire()
        try:
            interpret(function, memory, {**integers, "rank": order[place], "team": len(order)}, sizes, meet)
        except BaseException as error:
            failed.append(error)
        pass_on()

    at_work = [threading.Thread(target=thread, args=(place,)) for place in range(len(order))]
    for one in at_work:
        one.start()
    turns[0].release()
    for one in at_work:
        one.join()
    if failed:
        raise failed[0]


def compare(part, flags):
    expected = values_for(part, np.random.default_rng(0))
    given = [strips(v, a, part) if a.kind in ("packed", "right") else v.copy()
             for v, a in zip(expected, part.arguments, strict=True)]  # fmt: skip
    integers = {"n": STEPS, "b": BATCH, **dict(zip(part.flags, flags, strict=True))}
    interpret(part.function, dict(zip(part.function.memory, expected, strict=True)), integers, part.sizes)
    guarded = [np.full(len(v) + 2 * GUARD, True if v.dtype == bool else 7, v.dtype) for v in given]
    for whole, values in zip(guarded, given, strict=True):
        whole[GUARD:-GUARD] = values
    at = [whole[GUARD:].__array_interface__["data"][0] for whole in guarded]
    block = np.array([*at, STEPS, BATCH, *flags, *part.tail], np.int64)
    part.run(block.__array_interface__["data"][0])
    single = 3e-4 if part.dtype == np.float32 else 1e-11
    for whole, values, argument in zip(guarded, expected, part.arguments, strict=True):
        edge = True if whole.dtype == bool else 7
        assert (whole[:GUARD] == edge).all(), argument
        assert (whole[-GUARD:] == edge).all(), argument
        if argument.kind not in ("packed", "right", "room"):
            assert np.allclose(whole[GUARD:-GUARD], values, rtol=single, atol=single, equal_nan=True), argument


def compare_all(cell):
    """Both directions, with all flags up and with none."""
    parts = directions(cell)
    native._load_all(parts, parts[0].dtype.name)
    for part in parts:
        for flags in ([1] * len(part.flags), [0] * len(part.flags)):
            compare(part, flags)
