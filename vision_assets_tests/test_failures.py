import dagster as dg
import pytest
from pyspark.sql import SparkSession

from vision_assets.errors import UserError
from vision_assets.failures import failures


def test_a_user_error_is_a_failure_that_is_not_retried() -> None:
    with pytest.raises(dg.Failure) as failure, failures():
        raise UserError("what is wrong. What to do.")
    assert failure.value.description == "what is wrong. What to do."
    assert not failure.value.allow_retries


def refuse(_: int) -> int:
    raise UserError("cannot read 'a.jpg'. Do this.")


def test_a_user_error_in_a_worker_is_found_in_sparks_error(spark: SparkSession) -> None:
    with pytest.raises(dg.Failure) as failure, failures():
        spark.sparkContext.parallelize([1], 1).map(refuse).collect()
    assert failure.value.description == "cannot read 'a.jpg'. Do this."
    assert not failure.value.allow_retries


def test_a_full_disk_is_named() -> None:
    with pytest.raises(dg.Failure) as failure, failures():
        raise OSError("Job aborted.\nCaused by: java.io.IOException: No space left on device\n at x.y")
    assert failure.value.description is not None
    assert "is full. Make room" in failure.value.description


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(ZeroDivisionError), failures():
        _ = 1 / 0
