"""Names that the registry holds for Cloche.

With MLflow itself, the whole interface between training and serving.
"""

PRODUCTION = "production"
DIGEST_TAG = "cloche.digest"
