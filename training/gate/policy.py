"""Policies: criteria and data of a judgement, from a version's metadata or from a file.

A version that Cloche trained carries its policy; for any other version, a user writes a file.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cloche.training.errors import RecipeError, RegistryError, TrainingError
from cloche.training.evaluation.predictions import Label, TargetSpec, quote_names
from cloche.training.names import METADATA, METADATA_SCHEMA
from cloche.training.recipe import yaml_document
from cloche.training.recipe.criteria.gate import Gate
from cloche.training.recipe.criteria.not_worse import NotWorse
from cloche.training.recipe.cross_checks import disagreements
from cloche.training.recipe.metric_catalog import Task, metrics_for
from cloche.training.recipe.problems import explain
from cloche.training.recipe.sections import Data, Section
from cloche.training.recipe.values import MetricName, Names, RolloutPlan, Scalar


class CarriedHoldout(BaseModel):
    """A holdout among the artifacts of the run that trained a version.

    Attributes:
        artifact: Path of the Parquet file among the artifacts.
        digest: Digest of the rows, by `cloche.training.dataset.reading.digest`.
        rows: Number of rows.
    """

    model_config = ConfigDict(frozen=True)

    artifact: str
    digest: str
    rows: int


class Policy(Section):
    """What is predicted, how it is judged, and on which rows.

    Attributes:
        task: Kind of the task: binary, multiclass or regression.
        target: Column with the true values.
        positive: Label that metrics are about, for a binary task.
        classes: Every label, in the order of the model's probability columns; by default found in
            the target column.
        labels: The model's answer → the label that it stands for, if the model answers otherwise
            than the target column, like XGBoost with integers.
        threshold: Smallest probability that means the positive label, for a binary task and a model
            that returns probabilities only.
        output: Name of the output that is the prediction; by default found by shapes and names.
        features: Columns for a model without a signature; by default all except the target.
        metrics: Names of the metrics; the first one is compared with production, unless the gate
            names another.
        slices: Columns whose values are measured one by one.
        gate: The criteria.
        rollout: Plan for the way into production; None for Cloche's own.
        seed: Seed for the bootstrap.
        holdout: Rows that the version carries.
        data: Table that a user names; all of its rows are the holdout.
    """

    task: Task
    target: str
    positive: Scalar | None = None
    classes: Annotated[tuple[Scalar, ...], Field(strict=False)] = ()
    labels: dict[Scalar, Scalar] = Field(default_factory=dict)
    threshold: float = Field(default=0.5, gt=0, lt=1)
    output: str | None = None
    features: Names = ()
    metrics: Annotated[tuple[MetricName, ...], Field(strict=False)] = ()
    slices: Names = ()
    gate: Gate = Gate()
    rollout: RolloutPlan | None = None
    seed: int = Field(default=42, ge=0, lt=2**32)
    holdout: CarriedHoldout | None = None
    data: Data | None = None

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        problems = disagreements({name: getattr(self, name) for name in type(self).model_fields})
        if (self.holdout is None) == (self.data is None):
            problems.append("data: missing; say which table to judge on, like: data: {source: …}")
        if self.labels and self.task == "regression":
            problems.append("labels: a regression has none; remove them")
        if self.target in self.features:
            problems.append(f"features: {self.target!r} is the target; remove it")
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def measured_metrics(self) -> tuple[str, ...]:
        """Every metric that is measured: those that are named, then those of criteria."""
        chosen = self.metrics or tuple(metrics_for(self.task))
        return tuple(dict.fromkeys((*chosen, *(metric for _, metric in self.gate.metrics()))))

    @property
    def compared_metric(self) -> str:
        """The metric that is compared with production."""
        named = self.gate.not_worse.metric if self.gate.not_worse else None
        return named or self.measured_metrics[0]

    @property
    def sliced_columns(self) -> tuple[str, ...]:
        """Every column that the holdout is sliced by."""
        return tuple(dict.fromkeys((*self.slices, *self.gate.columns())))

    @property
    def resolved_gate(self) -> Gate:
        """The gate's criteria, with the metric of the comparison set."""
        if self.gate.not_worse is None or self.gate.not_worse.metric is not None:
            return self.gate
        named = self.gate.not_worse.model_copy(update={"metric": self.compared_metric})
        return self.gate.model_copy(update={"not_worse": named})

    @property
    def confidence(self) -> float:
        """The confidence level of the bounds on differences."""
        return (self.gate.not_worse or NotWorse()).confidence

    def target_of(self, truth: pd.Series) -> TargetSpec:
        """Return the target, with the labels that the policy names or the target column has."""
        if self.task == "regression" or not self.classes:
            target = TargetSpec.from_column(
                self.task, truth, positive=self.positive, threshold=self.threshold
            )
        else:
            positive: Label | None = self.positive
            if self.task == "binary" and positive is None:
                positive = self.classes[-1]
            target = TargetSpec(self.task, self.classes, positive, self.threshold)
        unknown = [label for label in self.labels.values() if label not in target.classes]
        if unknown:
            raise TrainingError(
                f"labels: the policy means {quote_names(unknown)}, and the target has "
                f"{quote_names(target.classes)}"
            )
        return replace(target, answers=tuple(self.labels.items()))


def carried_policy(metadata: Mapping[str, Any] | None) -> Policy | None:
    """Return the policy in a model's metadata; None if Cloche did not train the model.

    Raises:
        RegistryError: This version of Cloche cannot read the policy.
    """
    carried = (metadata or {}).get(METADATA)
    if carried is None:
        return None
    if carried.get("schema") != METADATA_SCHEMA:
        raise RegistryError(
            f"the version's own policy has schema {carried.get('schema')}, and this Cloche reads "
            f"{METADATA_SCHEMA}; update Cloche, or give the criteria with --policy FILE"
        )
    try:
        known = {name: value for name, value in carried.items() if name in Policy.model_fields}
        return Policy.model_validate(known)
    except ValidationError as error:
        problems = "; ".join(explain(error, Policy, carried, {}))
        raise RegistryError(
            f"the version's own policy (metadata {METADATA!r}) cannot be read: {problems}; "
            "give the criteria with --policy FILE"
        ) from None


def holdout_digest(metadata: Mapping[str, Any] | None) -> str | None:
    """Return the digest of the holdout that a version carries; None if Cloche did not train it."""
    carried = (metadata or {}).get(METADATA) or {}
    digest: str | None = (carried.get("holdout") or {}).get("digest")
    return digest


def load_policy(path: str) -> Policy:
    """Read a policy from a YAML file.

    Raises:
        RecipeError: The file has mistakes; the error lists all of them.
    """
    try:
        read = yaml_document.parse(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise RecipeError(path, [f"cannot be read: {error.strerror}"]) from None
    except (UnicodeDecodeError, yaml_document.DocumentError) as error:
        raise RecipeError(path, [str(error)]) from None
    if "holdout" in read.values:
        raise RecipeError(path, ["holdout: name the table under data instead"])
    try:
        return Policy.model_validate(read.values)
    except ValidationError as error:
        raise RecipeError(path, explain(error, Policy, read.values, read.lines)) from None
