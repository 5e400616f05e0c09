"""Spark as MLlib's user has it: its own defaults, with memory enough and without its log."""

from pathlib import Path

from pyspark.sql import SparkSession

from vision_assets.spark import properties, session

_OF_THE_PLACE = {
    "spark.master",
    "spark.driver.host",
    "spark.driver.bindAddress",
    "spark.ui.enabled",
    "spark.ui.showConsoleProgress",
}
_LOG4J = Path(session.__file__).with_name("log4j2.properties")


def plain_session() -> SparkSession:
    """Return the session of this process, started if there is none."""
    config = {name: value for name, value in properties.spark_config().items() if name in _OF_THE_PLACE}
    config["spark.driver.memory"] = "6g"
    # No other option: those that the project sets for its own short tasks may slow down MLlib's long loops.
    config["spark.driver.extraJavaOptions"] = f"-Dlog4j2.configurationFile={_LOG4J.as_uri()}"
    return session.plain_session(config)
