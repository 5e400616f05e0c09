import pytest

from vision_assets.steps.damage import damaged_table


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "file:///data/sift_features/20260101T000000-run-1/part-0.parquet",
            (
                "/data/sift_features/20260101T000000-run-1/part-0.parquet is missing. Materialize sift_features "
                "again with `full_refresh: true`, or remove /data/sift_features/_snapshots/"
                "*-20260101T000000-run-1.json to go back to the snapshot before it."
            ),
        ),
        (
            "hdfs://name/data/kmeans_dictionary/20260101T000000-run-1/_index/part-0",
            (
                "hdfs://name/data/kmeans_dictionary/20260101T000000-run-1/_index/part-0 is missing. Materialize "
                "kmeans_dictionary again, or remove hdfs://name/data/kmeans_dictionary/_snapshots/"
                "*-20260101T000000-run-1.json to go back to the snapshot before it."
            ),
        ),
        ("file:///images/a.jpg", None),
    ],
)
def test_only_files_of_snapshots_belong_to_a_table(uri: str, message: str | None) -> None:
    assert damaged_table(uri, "is missing") == message
