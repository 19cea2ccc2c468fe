"""Lesson 1: backpropagation by hand, beside the engine.

A network with one hidden layer learns a curve. Every gradient is first worked out with the chain rule in NumPy and then
taken from ``loss.backward()``; the two agree to the last digits. Run it: ``python examples/lesson_backpropagation.py``.

The network, for a batch x of N numbers and their targets y:

    h = x W1 + b1        (N, 1) @ (1, H) + (H,)  ->  (N, H)
    a = tanh(h)          (N, H)
    p = a W2 + b2        (N, H) @ (H, 1) + (1,)  ->  (N, 1)
    L = mean (p - y)^2   a number
"""

from __future__ import annotations

import numpy as np

import minidl

N, H = 64, 16


def by_hand(
    x: np.ndarray, y: np.ndarray, w1: np.ndarray, b1: np.ndarray, w2: np.ndarray, b2: np.ndarray
) -> tuple[float, list[np.ndarray]]:
    """The loss, and its derivative with respect to each of the four parameters, by the chain rule."""
    # Forward. Keep what the way back will ask for: x, a and the error.
    a = np.tanh(x @ w1 + b1)
    error = a @ w2 + b2 - y
    loss = float((error**2).mean())

    # Backward, in the opposite order. "dz" stands for dL/dz and has the shape of z.
    dp = 2 * error / N  # the derivative of mean(error^2): each of the N squares counts 1/N
    dw2 = a.T @ dp  # p = a W2 + b2: every row of the batch adds its part, so the product sums over N
    db2 = dp.sum(0)  # b2 was broadcast over the batch; what is repeated forward is summed backward
    da = dp @ w2.T  # (N, 1) @ (1, H) -> (N, H)
    dh = da * (1 - a**2)  # tanh' = 1 - tanh^2: this is why the output, not the input, was kept
    dw1 = x.T @ dh  # (1, N) @ (N, H) -> (1, H)
    db1 = dh.sum(0)
    return loss, [dw1, db1, dw2, db2]


def by_engine(x: np.ndarray, y: np.ndarray, values: list[np.ndarray]) -> tuple[float, list[np.ndarray]]:
    """The same from the engine: say what the loss is, and ask."""
    w1, b1, w2, b2 = parameters = [minidl.tensor(value, requires_grad=True) for value in values]
    prediction = minidl.tanh(minidl.from_numpy(x) @ w1 + b1) @ w2 + b2
    loss = ((prediction - minidl.from_numpy(y)) ** 2).mean()
    loss.backward()
    return loss.item(), [parameter.grad.numpy() for parameter in parameters]


def main() -> float:
    """Train by hand, check every gradient against the engine, and return the last loss."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-3, 3, (N, 1))
    y = np.sin(x)
    values = [rng.standard_normal((1, H)), np.zeros(H), rng.standard_normal((H, 1)) / 4, np.zeros(1)]

    worst = 0.0
    for step in range(501):
        loss, gradients = by_hand(x, y, *values)
        engine_loss, engine_gradients = by_engine(x, y, values)
        for mine, theirs in zip([loss, *gradients], [engine_loss, *engine_gradients]):
            worst = max(worst, float(np.abs(np.asarray(mine) - theirs).max()))
        for value, gradient in zip(values, gradients):
            value -= 0.1 * gradient  # gradient descent: a small step against the gradient
        if step % 100 == 0:
            print(f"step {step:3d}   loss by hand {loss:.12f}   by the engine {engine_loss:.12f}")
    print(f"largest difference of any loss or gradient in all steps: {worst:.1e}")
    if worst > 1e-12:
        raise SystemExit("the two disagree: one of them is wrong")

    # What did the engine do? The loss remembers the operation that made it, that one its inputs, and so on.
    w = minidl.tensor([2.0], requires_grad=True)
    loss = minidl.tanh(w * 3).sum()
    node, chain = loss.grad_fn, []
    while node is not None and hasattr(node, "next_functions"):
        chain.append(node.name)
        node = next((edge[0] for edge in node.next_functions if edge is not None), None)
    print("the graph of sum(tanh(3 w)), from the end:", " <- ".join([*chain, "w"]))
    return by_hand(x, y, *values)[0]


if __name__ == "__main__":
    main()
