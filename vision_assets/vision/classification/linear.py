"""A linear classifier: its parameters, its exact scores, and its file, which NumPy alone can read."""

import io
import json
import zipfile
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_assets.vision.encoding.kernel_maps import FeatureMap, apply_feature_map
from vision_assets.vision.options import Options, option

CLASSIFIER_FILE = "classifier.npz"
"""Name of the file in the folder of a classifier's snapshot."""

_MANTISSA_BITS = 53  # of float64


@dataclass(frozen=True)
class TrainingOptions(Options):
    """How a linear classifier is trained; `reg_param` and `max_iter` are those of Spark's MLlib.

    Parameters
    ----------
    feature_map : {"none", "l2", "hellinger", "chi2"}
        Applied to each encoding first, see `vision_assets.vision.encoding.kernel_maps.apply_feature_map`.
    reg_param : float
        Weight of the squared norm of the weights, added to the mean log loss.
    max_iter : int
        Maximum number of iterations of L-BFGS.

    Raises
    ------
    ValueError
        If a value is out of range.
    """

    feature_map: FeatureMap = option(
        "hellinger",
        "Applied to each encoding first: `none`, `l2` (scales it to length 1), `hellinger` (square root of "
        "the shares) or `chi2` (explicit map of the chi-square kernel, three values per word).",
    )
    reg_param: float = option(
        1e-4, "Strength of the regularisation; a larger value fits the training images less closely.", ge=0
    )
    max_iter: int = option(50, "Maximum number of training iterations.", ge=1, le=10_000)


@dataclass(frozen=True)
class Classifier:
    """A linear classifier: one model per random split of the images.

    Parameters
    ----------
    labels : tuple of str
        The n classes in order.
    weights : ndarray of shape (splits, n, D), dtype float32
        As `round_weights` makes them.
    intercepts : ndarray of shape (splits, n), dtype float64
    feature_map : {"none", "l2", "hellinger", "chi2"}
        Maps an encoding to D features.
    dictionary : str
        Name of the dictionary's snapshot that the encodings were computed with.
    settings : dict
        Configuration of the training and of the splits.
    """

    labels: tuple[str, ...]
    weights: NDArray[np.float32]
    intercepts: NDArray[np.float64]
    feature_map: FeatureMap
    dictionary: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def splits(self) -> int:
        """Number of models."""
        return len(self.weights)

    def probabilities(self, bow: NDArray[np.floating], split: int = 0) -> NDArray[np.float64]:
        """Return the probability of each class, for M encodings.

        Parameters
        ----------
        bow : ndarray of shape (M, k), any float dtype
            The encodings.
        split : int
            Index of the model.

        Returns
        -------
        ndarray of shape (M, n), dtype float64
            Columns are in the order of `labels`; rows add up to 1. A row depends on its encoding alone, to
            the bit.
        """
        from scipy.special import softmax  # noqa: PLC0415 - imports of this module need not wait for it

        features = apply_feature_map(bow, self.feature_map)
        scores = linear_scores(features, self.weights[split], self.intercepts[split])
        return softmax(scores, axis=1)


def linear_scores(
    features: NDArray[np.float64], weights: NDArray[np.float32], intercepts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Compute the scores of all classes; they are the same to the bit in any batch of images.

    Parameters
    ----------
    features : ndarray of shape (M, D), dtype float64
    weights : ndarray of shape (n, D), dtype float32
        As `round_weights` makes them.
    intercepts : ndarray of shape (n,), dtype float64

    Returns
    -------
    ndarray of shape (M, n), dtype float64
        The sums of weight times feature, plus the intercepts.

    Notes
    -----
    The last bits of a matrix product depend on the order of summation. Therefore each factor is rounded to
    an integer of at most 2^b times a power of two, with b such that the sum of D products fits into the 53
    bits of float64: every partial sum is exact, in any order. For 1,000 features b is 21, much finer than
    the difference between two images.

    Examples
    --------
    >>> import numpy as np
    >>> weights = round_weights(np.array([[1.0, 2.0], [0.5, -1.0]]))
    >>> linear_scores(np.array([[2.0, 1.0]]), weights, np.array([0.0, 10.0]))
    array([[ 4., 10.]])
    """
    bits = _exact_bits(features.shape[1])
    rounded = _round_to_bits(features, np.abs(features).max(axis=1, initial=0, keepdims=True), bits)
    return rounded @ weights.T.astype(np.float64) + intercepts


def round_weights(weights: NDArray[np.float64]) -> NDArray[np.float32]:
    """Round the weights of a model so that `linear_scores` is exact.

    Parameters
    ----------
    weights : ndarray of shape (n, D), dtype float64

    Returns
    -------
    ndarray of shape (n, D), dtype float32
        At most 24 significant bits, so float32 loses nothing.
    """
    largest = np.abs(weights).max(initial=0)
    return _round_to_bits(weights, np.asarray(largest), _exact_bits(weights.shape[1])).astype(np.float32)


def _exact_bits(length: int) -> int:
    return min(24, (_MANTISSA_BITS - max(0, length - 1).bit_length()) // 2)


def _round_to_bits(
    values: NDArray[np.float64], largest: NDArray[np.float64], bits: int
) -> NDArray[np.float64]:
    """Round to multiples of a power of two such that `largest` is at most ``2^bits`` of them."""
    exponent = np.frexp(largest)[1] - bits
    return np.ldexp(np.rint(np.ldexp(values, -exponent)), exponent)


def classifier_to_npz(classifier: Classifier) -> bytes:
    """Serialise a classifier.

    Parameters
    ----------
    classifier : Classifier

    Returns
    -------
    bytes
        Content of an ``.npz`` file with the arrays ``labels``, ``weights``, ``intercepts``, ``featureMap``,
        ``dictionary`` and ``settings`` (JSON). Equal classifiers give equal bytes.
    """
    file = io.BytesIO()
    np.savez(
        file,
        labels=np.array(classifier.labels),
        weights=classifier.weights,
        intercepts=classifier.intercepts,
        featureMap=np.array(classifier.feature_map),
        dictionary=np.array(classifier.dictionary),
        settings=np.array(json.dumps(classifier.settings, sort_keys=True)),
    )
    return file.getvalue()


def classifier_from_npz(data: bytes) -> Classifier:
    """Read a classifier that `classifier_to_npz` has written.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    Classifier

    Raises
    ------
    ValueError
        If it is another file or damaged. Nothing in it is unpickled.
    """
    try:
        _require_checksums(data)
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            classifier = Classifier(
                labels=tuple(stored["labels"].tolist()),
                weights=stored["weights"],
                intercepts=stored["intercepts"],
                feature_map=stored["featureMap"].item(),
                dictionary=stored["dictionary"].item(),
                settings=json.loads(stored["settings"].item()),
            )
    except Exception as error:
        raise ValueError(f"not a stored classifier: {error}") from error
    shape = (*classifier.intercepts.shape, len(classifier.labels))
    if classifier.weights.ndim != 3 or classifier.weights.shape[:2] != shape[:2] or shape[1:2] != shape[2:]:
        raise ValueError("not a stored classifier: labels, weights and intercepts do not fit together")
    return classifier


def _require_checksums(data: bytes) -> None:
    """Raise a `ValueError` if a checksum is wrong; NumPy checks only entries that it reads to their end."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        if damaged := file.testzip():
            raise ValueError(f"the checksum of {damaged} is wrong")
