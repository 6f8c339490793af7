"""Names that the registry holds for Cloche.

With MLflow itself, the whole interface between training and serving.
"""

PRODUCTION = "production"
DIGEST_TAG = "cloche.digest"
ACCELERATED_TAG = "cloche.accelerated"
ACCELERATED_DIGEST_TAG = "cloche.accelerated_digest"
ONNX = "onnx"
