"""Whether stored tables can be used together: words with features, a classifier with encodings."""

from collections.abc import Callable
from dataclasses import asdict

from vision_assets.errors import UserError
from vision_assets.snapshots.store import Snapshot
from vision_assets.steps.stored_tables import StoredTable
from vision_assets.steps.up_to_date import settings_that_differ
from vision_assets.vision.encoding.base import Encoding
from vision_assets.vision.features.base import ExtractorOptions


def require_one_descriptor_space(
    extractor: type[ExtractorOptions],
    features: StoredTable,
    dictionary: StoredTable,
    warn: Callable[[str], object] = lambda _: None,
) -> None:
    """Raise a `UserError` if words were trained on descriptors that cannot be compared with the features'.

    Parameters
    ----------
    extractor : type of ExtractorOptions
    features, dictionary : StoredTable
    warn : callable
        Takes a line if it is not known what the words were trained on.
    """

    def space_of(snapshot: Snapshot) -> str:
        return extractor.from_config(snapshot.config).descriptor_space()

    trained_on = dictionary.store.input_of(dictionary.snapshot, (features.asset,))
    if trained_on is None:
        warn(f"The features that {dictionary.snapshot.uri} was trained on are gone; it may not fit.")
    elif (theirs := space_of(trained_on)) != (ours := space_of(features.snapshot)):
        raise UserError(
            f"The dictionary {dictionary.snapshot.uri} was trained on {theirs}, but the features "
            f"{features.snapshot.uri} are {ours}. {theirs} and {ours} descriptors are not comparable. "
            f"Materialize {dictionary.asset} from these features first, with `full_refresh: true` if "
            "`retrain` is `never`."
        )


def require_same_words(
    encoding: type[Encoding], dictionary: str, encodings: StoredTable, classifier: StoredTable
) -> None:
    """Raise a `UserError` if the weights of a classifier do not fit the encodings.

    Parameters
    ----------
    encoding : type of Encoding
    dictionary : str
        The asset of the dictionary.
    encodings, classifier : StoredTable
        The weights fit if the classifier was trained on encodings with the words and the settings of these.
    """
    trained_on = classifier.upstream(encodings.asset)
    theirs, ours = (asdict(encoding.from_config(each.snapshot.config)) for each in (trained_on, encodings))
    other = settings_that_differ(theirs, ours)
    if trained_on.upstream(dictionary).snapshot.identity != encodings.upstream(dictionary).snapshot.identity:
        other.append(f"another {dictionary}")
    if other:
        raise UserError(
            f"`retrain: never` cannot keep {classifier.snapshot.uri}, because its weights do not fit "
            f"{encodings.snapshot.uri}: it was trained on encodings with {', '.join(other)}. Set `retrain: "
            "when_changed` to train it again, or restore these settings."
        )
