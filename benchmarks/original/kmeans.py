"""MLlib's k-means on all descriptors, from a random start."""

from pyspark.mllib.clustering import KMeans

from benchmarks.peers.spark import plain_session


def measure(features: str, output: str, k: int, iterations: int) -> dict[str, float]:
    spark = plain_session()
    descriptors = spark.read.parquet(features).rdd.flatMap(lambda row: row.features).cache()
    model = KMeans.train(descriptors, k, maxIterations=iterations, initializationMode="random")
    model.save(spark.sparkContext, output)
    descriptors.unpersist()
    return {}
