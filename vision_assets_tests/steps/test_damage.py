import pytest

from vision_assets.steps.damage import damaged_table

SNAPSHOT = "20260101T000000-run-1"


@pytest.mark.parametrize(
    ("uri", "file", "folder", "asset"),
    [
        (
            f"file:///data/sift_features/{SNAPSHOT}/part-0.parquet",
            f"/data/sift_features/{SNAPSHOT}/part-0.parquet",
            "/data/sift_features",
            "sift_features",
        ),
        (
            f"hdfs://name/data/kmeans_dictionary/{SNAPSHOT}/_index/part-0",
            f"hdfs://name/data/kmeans_dictionary/{SNAPSHOT}/_index/part-0",
            "hdfs://name/data/kmeans_dictionary",
            "kmeans_dictionary",
        ),
    ],
)
def test_the_message_names_file_asset_and_manifest(uri: str, file: str, folder: str, asset: str) -> None:
    message = damaged_table(uri, "is missing")
    assert message
    advice = f"Materialize {asset} again with `full_refresh: true`, or remove {folder}/"
    assert message.startswith(f"{file} is missing. {advice}")
    assert f"*-{SNAPSHOT}.json" in message


def test_other_files_belong_to_no_table() -> None:
    assert damaged_table("file:///images/a.jpg", "is missing") is None
