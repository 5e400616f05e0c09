"""The rows of the benchmark, in the order of the table."""

from benchmarks.report import Row
from benchmarks.rows.all_descriptors import KMEANS_ALL
from benchmarks.rows.extractors import EXTRACTORS
from benchmarks.rows.growth import GROWTH
from benchmarks.rows.memory import MEMORY
from benchmarks.rows.original import ORIGINAL_CODING, WHOLE_500
from benchmarks.rows.startup import STARTUP
from benchmarks.rows.steps import ENCODING, KMEANS_FAISS, KMEANS_MLLIB, KMEANS_SKLEARN, SIFT, WHOLE
from benchmarks.rows.words import WORDS

ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        *(WHOLE, SIFT, ENCODING, KMEANS_FAISS, KMEANS_SKLEARN, KMEANS_MLLIB, KMEANS_ALL),
        *(ORIGINAL_CODING, WHOLE_500, GROWTH, WORDS, MEMORY, EXTRACTORS, STARTUP),
    )
}
"""Name to row."""
