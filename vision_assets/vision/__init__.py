"""Computer vision with NumPy and OpenCV: functions of images and arrays, without Spark or Dagster."""
