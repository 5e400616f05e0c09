"""Training of a linear classifier: multinomial logistic regression by L-BFGS."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_GRADIENT = 1e-6
"""The training has converged when no component of the gradient is larger."""


def join_sparse(parts: Iterable[NDArray[np.float64]]) -> "csr_array":
    """Join the rows of dense matrices, one after the other, to a sparse matrix.

    Parameters
    ----------
    parts : iterable of ndarray of shape (M, D), dtype float64
        At least one.

    Returns
    -------
    scipy.sparse.csr_array of shape (sum of M, D), dtype float64
    """
    from scipy.sparse import csr_array, vstack  # noqa: PLC0415 - as below

    return vstack([csr_array(part) for part in parts], "csr")


def fit_logistic_regression(
    features: "NDArray[np.float64] | csr_array",
    targets: NDArray[np.integer],
    classes: int,
    *,
    reg_param: float,
    max_iter: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit a multinomial logistic regression.

    Parameters
    ----------
    features : ndarray or scipy.sparse.csr_array of shape (M, D), dtype float64
        About of length 1 each.
    targets : ndarray of shape (M,), integers
        The class of each row, from 0 to `classes` - 1.
    classes : int
    reg_param : float
        Weight of half the squared norm of the weights.
    max_iter : int
        Maximum number of iterations.

    Returns
    -------
    weights : ndarray of shape (classes, D), dtype float64
    intercepts : ndarray of shape (classes,), dtype float64
        Their mean is 0.

    Notes
    -----
    It minimizes what Spark's ``LogisticRegression`` does without standardization: the mean log loss plus
    ``reg_param / 2`` times the squared norm of the weights. It begins with zero weights and with intercepts
    by the frequencies of the classes. The same input gives the same bits on processors of one kind.

    Examples
    --------
    >>> import numpy as np
    >>> features = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.2, 0.8]])
    >>> weights, intercepts = fit_logistic_regression(
    ...     features, np.array([0, 0, 1, 1]), 2, reg_param=0.01, max_iter=50
    ... )
    >>> (features @ weights.T + intercepts).argmax(axis=1)
    array([0, 0, 1, 1])
    """
    from scipy.optimize import minimize  # noqa: PLC0415 - imports of this module need not wait for it

    count, length = features.shape
    rows = np.arange(count)

    def loss_and_gradient(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights = parameters[:-classes].reshape(classes, length)
        scores = features @ weights.T + parameters[-classes:]
        scores -= scores.max(axis=1, keepdims=True)
        of_targets = scores[rows, targets]
        probabilities = np.exp(scores, out=scores)
        sums = probabilities.sum(axis=1, keepdims=True)
        loss = float(np.mean(np.log(sums[:, 0]) - of_targets))
        probabilities /= sums
        probabilities[rows, targets] -= 1
        probabilities /= count
        gradient = np.empty_like(parameters)
        by_class = gradient[:-classes].reshape(classes, length)
        if isinstance(features, np.ndarray):
            np.matmul(probabilities.T, features, out=by_class)
        else:
            by_class[:] = (features.T @ probabilities).T
        gradient[:-classes] += reg_param * parameters[:-classes]
        gradient[-classes:] = probabilities.sum(axis=0)
        return loss + reg_param / 2 * float(parameters[:-classes] @ parameters[:-classes]), gradient

    start = np.zeros(classes * length + classes)
    start[-classes:] = np.log1p(np.bincount(targets, minlength=classes))
    options = {"maxiter": max_iter, "gtol": _GRADIENT, "ftol": 0.0}
    found = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", options=options).x
    return found[:-classes].reshape(classes, length), found[-classes:] - found[-classes:].mean()
