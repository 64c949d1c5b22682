"""Ctrl-C and other signals during a long call, each in a process of its own."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest
from cli_program import heed_signals

LIMIT = 0.2  # seconds from the signal to the exception, as promised: the library asks every 50 ms at the latest

PROLOGUE = """
import signal, sys, threading, time
import numpy as np
import subquad

q = subquad.fill_uniform((2**18, 64), 1, 0, -1.0, 1.0, "float32")  # minutes of work
small = q[:5]

def long_call():
    return subquad.attention(q, q, q, check_finite=False)

def ready():
    print("ready", flush=True)

def forever(call):  # such calls take a second or so each
    while True:
        call()

def basis():
    kernels = np.broadcast_to(q[:, 0], (64, 2**18))
    return subquad.ConvBasis(starts=np.arange(64) * 2**12, kernels=kernels, cumulative=True)

def plan():
    return subquad.plan(q[: 2**16], q[: 2**16], budget=256, causal=True)

def blocks(first, last):
    time.sleep(60)
"""

CALLS = [
    "long_call()",
    "subquad.attention_backward(q, q, q, q, q[:, 0], q, check_finite=False)",
    "forever(lambda: subquad.attention(q[: 2**15], q[: 2**15], q[: 2**15], causal=True, tol=0.1, check_finite=False))",
    "forever(lambda: subquad.plan(q, q, budget=256, estimate='sampled', causal=True, check_finite=False))",
    "forever(lambda: planned.apply(q[: 2**16], check_finite=False))",
    "forever(lambda: planned.backward(*[q[: 2**16]] * 2, q[: 2**16, 0], q[: 2**16], check_finite=False))",
    "forever(lambda: made.apply(q, strict_causal=True, check_finite=False))",
    "forever(lambda: made.multiply_transposed(q, check_finite=False))",
    "forever(lambda: subquad.conv_basis_fit(q[: 2**15], q[: 2**15], bases=64, check_finite=False))",
    "made.backward(q, q, q, q, backward='conv_basis', check_finite=False)",
    "subquad.attention_loss(q, q, q, q[:64], q[:64], q, check_finite=False)",
    "forever(lambda: subquad.leverage_scores(q.T, method='exact', check_finite=False))",
    "forever(lambda: subquad.leverage_scores(q.T, method='sketch', check_finite=False))",
    "forever(lambda: subquad.sparsify(q.T, columns=1000, certify='exact', check_finite=False))",
    "forever(lambda: subquad.sparsify(q.T, method='gram', check_finite=False))",
    "forever(lambda: subquad.sparsify(q.T, method='deterministic', columns=4000, check_finite=False))",
    "forever(lambda: subquad.sparsify(q.T, columns=2**18, certify=False).softmax_error(q.T, check_finite=False))",
    "forever(lambda: subquad.sparsify(subquad.column_blocks(blocks, 64, 2**18, 'float32'), columns=1000))",
]


def start(script):
    child = subprocess.Popen(
        [sys.executable, "-c", PROLOGUE + textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_signals,
    )
    assert child.stdout.readline() == "ready\n", child.stderr.read()
    return child


def rest(child):
    """What it still prints, after which it must end well and have said nothing else."""
    with child:
        output, errors = child.stdout.read(), child.stderr.read()
    assert (errors, child.returncode) == ("", 0)
    return output


@pytest.mark.parametrize("call", CALLS)
def test_keyboard_interrupt(call):
    """Three signals, of which the promptest counts: a busy machine may delay any process."""
    child = start(
        f"""
        subquad.attention(small, small, small)
        made, planned = basis(), {"plan()" if "planned" in call else None}
        for attempt in range(3):
            try:
                ready()
                {call}
            except KeyboardInterrupt:
                print(time.monotonic(), flush=True)
        o = subquad.attention(small, small, small)  # the context that was interrupted goes on
        print(o.shape)
        """
    )
    delays = []
    for attempt in range(3):
        if attempt > 0:
            assert child.stdout.readline() == "ready\n"
        time.sleep(0.5)
        sent = time.monotonic()
        child.send_signal(signal.SIGINT)
        delays.append(float(child.stdout.readline()) - sent)
    assert rest(child) == "(5, 64)\n"
    assert 0 <= min(delays) < LIMIT, delays


def test_a_handler_that_returns_lets_the_call_go_on():
    """And it may compute meanwhile, with a context of its own."""
    child = start(
        """
        seen = []

        def handler(number, frame):
            seen.append(subquad.attention(small, small, small).shape)

        signal.signal(signal.SIGALRM, handler)
        q = q[:2**13]
        expected = long_call()
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        ready()
        rounds = 0
        while len(seen) < 3 and rounds < 1000:
            assert (long_call() == expected).all()
            rounds += 1
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(len(seen) >= 3)
        """
    )
    assert rest(child) == "True\n"


def test_a_call_in_another_thread_is_left_alone():
    """Ctrl-C reaches the main thread, which is free to act on it."""
    child = start(
        """
        q = q[:2**14]
        expected = long_call()
        results = []
        worker = threading.Thread(target=lambda: results.append(long_call()))
        worker.start()
        try:
            ready()
            time.sleep(60)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        worker.join()
        print((results[0] == expected).all())
        """
    )
    child.send_signal(signal.SIGINT)
    assert rest(child) == "interrupted\nTrue\n"
