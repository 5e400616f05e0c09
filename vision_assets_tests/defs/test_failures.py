import dagster as dg
import pytest
from pyspark.sql import SparkSession

from vision_assets.defs.failures import RETRY_POLICY, failures
from vision_assets.errors import UserError


def test_a_user_error_is_a_failure_that_is_not_retried() -> None:
    with pytest.raises(dg.Failure) as failure, failures():
        raise UserError("what is wrong. What to do.")
    assert failure.value.description == "what is wrong. What to do."
    assert not failure.value.allow_retries


def test_a_user_error_in_a_worker_is_found_in_sparks_error(spark: SparkSession) -> None:
    # In here, so that the worker imports no module of tests, which takes it seconds at each attempt.
    def refuse(_: int) -> int:
        raise UserError("cannot read 'a.jpg'. Do this.")

    with pytest.raises(dg.Failure) as failure, failures():
        spark.sparkContext.parallelize([1], 1).map(refuse).collect()
    assert failure.value.description == "cannot read 'a.jpg'. Do this."
    assert not failure.value.allow_retries


def test_any_other_error_may_be_retried_and_has_its_stack_below() -> None:
    with pytest.raises(dg.Failure) as failure, failures():
        _ = 1 / 0
    assert failure.value.description == "ZeroDivisionError: division by zero"
    assert failure.value.allow_retries
    assert isinstance(failure.value.__cause__, ZeroDivisionError)


def test_failures_stay_what_they_are() -> None:
    with pytest.raises(dg.Failure, match="of another kind"), failures():
        raise dg.Failure("of another kind")


def test_no_secret_is_shown_anywhere() -> None:
    with pytest.raises(dg.Failure) as failure, failures():
        raise OSError("timed out at s3a://KEY:SEC/RET@bucket/images")
    assert failure.value.description == (
        "No answer came in time (OSError: timed out at s3a://***@bucket/images)."
    )
    assert "s3a://***@bucket/images" in str(failure.value.__cause__)
    assert "RET" not in str(failure.value.__cause__)


def test_the_last_of_all_attempts_shows_the_cause_first() -> None:
    attempts = []

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=RETRY_POLICY.max_retries))
    def unlucky(context: dg.AssetExecutionContext) -> None:
        attempts.append(context.retry_number)
        with failures():
            raise TimeoutError("timed out")

    result = dg.materialize([unlucky], raise_on_error=False)
    assert attempts == [0, 1, 2, 3]
    (event,) = [event for event in result.all_events if event.is_step_failure]
    data = event.step_failure_data
    cause = "No answer came in time (TimeoutError: timed out)."
    assert data.error is not None
    assert data.error.message == f"dagster._core.definitions.events.Failure: {cause}\n"
    assert data.user_failure_data is not None
    assert data.user_failure_data.description == cause
