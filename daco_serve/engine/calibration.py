"""Calibration: turns the evidence of a query into probabilities; fitted on queries with known places."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from daco_core.encoder.stored import SHIPPED
from daco_core.errors import DacoError, reason_of
from daco_core.files import write_text
from daco_core.photographs.locations import distance_metres
from daco_index.generations.folders import CALIBRATION_FILE
from daco_index.search.bundle import Bundle
from daco_serve.engine.answers import CalibrationKind

PRIOR_FILE = SHIPPED / "prior.json"
log = logging.getLogger(__name__)

FORMAT_VERSION = 2  # 1 had no prominence, and another name for `predicted`
EVIDENCE = (
    "similarity",
    "margin",
    "share",
    "support",
)  # of the best cluster; `Cluster.evidence` has them in this order
# these follow if the candidates were re-ranked
VOTE_EVIDENCE = ("votes", "lead", "agreement", "prominence")
LENGTHS = {1: len(VOTE_EVIDENCE) - 1, 2: len(VOTE_EVIDENCE)}  # number of VOTE_EVIDENCE's values, by format version
RADIUS_SHARE = 0.68  # share of cases in which the radius contains the truth, as in ARCore and the GeoPose Protocol
MOST_GROWTH = 2.0  # if a map has become larger or smaller by more than this factor, its calibration no longer applies


class _Numbers(BaseModel):
    """A part of a calibration. Its numbers must be finite."""

    model_config = ConfigDict(allow_inf_nan=False)


class Logistic(_Numbers):
    """A logistic regression: probability 1 / (1 + exp(-(bias + weights . evidence))) of standardised evidence."""

    bias: float
    weights: list[float]


class Bin(_Numbers):
    """One point of a calibration curve: the predicted probability, and the observed frequency."""

    least: float
    most: float
    share: float
    predicted: float = Field(validation_alias=AliasChoices("predicted", "said"))  # "said" in format 1
    observed: float


class HeldOut(_Numbers):
    """The quality of the calibration on queries that it was not fitted on; all values are fractions.

    Args:
        error: expected calibration error: the mean absolute difference between predicted and observed, over the bins.
        brier: mean squared difference for each query; `brier_constant` is that of always predicting the mean.
        within_radius: share of the true positions on the map within the radius; the goal is `RADIUS_SHARE`. None
            without positions.
        refused_elsewhere, refused_on_map: share answered "not on this map", of queries off and on the map.
        curve: for the probability of being right.
    """

    error: float
    brier: float
    brier_constant: float
    within_radius: float | None
    refused_elsewhere: float
    refused_on_map: float
    curve: list[Bin]

    @property
    def helps(self) -> bool:
        """Whether its probabilities are better than always predicting the mean."""
        return self.brier < self.brier_constant


class Calibration(_Numbers):
    """A calibration, fitted on validation queries.

    Args:
        encoder, references: fingerprint of the encoder, and number of photographs on the map when it was fitted.
        queries, count: the source of the queries, and their number.
        recall: share of the queries whose location was right.
        elsewhere: expected share of queries from places that are not on the map.
        mean, deviation: of the evidence, for standardising it.
        right_errors: quantiles, evenly spaced from 0 to 1, of the errors of right locations in metres; empty if the
            queries have no positions.
        wrong_errors: of wrong ones, as a part of the map's extent.
        by: what the queries were: photographs whose place is known, or degraded copies of the references.
        map_similarity: of a prior, the mean `similarity_elsewhere` of the maps that it was fitted on; None if unknown.
    """

    format_version: int = FORMAT_VERSION
    encoder: str
    references: int
    created: str
    queries: str
    count: int
    recall: float
    elsewhere: float
    mean: list[float]
    deviation: list[float]
    is_right: Logistic
    is_on_map: Logistic
    right_errors: list[Annotated[float, Field(ge=0)]]
    wrong_errors: list[Annotated[float, Field(ge=0)]]
    held_out: HeldOut | None
    by: Literal["queries", "copies"] = "queries"
    map_similarity: float | None = None

    @property
    def has_votes(self) -> bool:
        """Whether it was fitted on evidence from re-ranking."""
        return len(self.mean) > len(EVIDENCE)

    def applies(self, evidence: Sequence[float]) -> bool:
        """Whether it was fitted on evidence of this kind: with votes, or without."""
        return self.has_votes == (len(evidence) > len(EVIDENCE))

    def for_map(self, similarity: float | None) -> "Calibration":
        """Adapts a prior to one map: similarities are relative to those between references of different places there.

        Args:
            similarity: the map's `similarity_elsewhere`; None if unknown, which leaves the prior unchanged.
        """
        if similarity is None or self.map_similarity is None:
            return self
        mean = [self.mean[0] + similarity - self.map_similarity, *self.mean[1:]]
        return self.model_copy(update={"mean": mean, "map_similarity": similarity})

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        numbers = {len(part) for part in (self.mean, self.deviation, self.is_right.weights, self.is_on_map.weights)}
        if numbers not in ({len(EVIDENCE)}, {len(EVIDENCE) + LENGTHS.get(self.format_version, 0)}):
            raise ValueError("its parts are not of one kind of evidence")
        if min(self.deviation) <= 0:
            raise ValueError("a deviation is not above 0")
        for errors in (self.right_errors, self.wrong_errors):
            if len(errors) == 1 or errors != sorted(errors):
                raise ValueError("errors are not quantiles in ascending order")
        return self

    def right(self, evidence: Sequence[float]) -> float:
        """The probability that the location is right within 25 m."""
        return float(_chance(self.is_right, self._standard(np.array([evidence])))[0])

    def on_map(self, evidence: Sequence[float]) -> float:
        """The probability that the query's place is on the map at all."""
        return float(_chance(self.is_on_map, self._standard(np.array([evidence])))[0])

    def radius(self, right: float, extent: float | None) -> float | None:
        """The radius in metres that contains the true position in 68 of 100 cases; None if positions were unknown.

        With the probability `right` the error is distributed like that of right locations, else like that of wrong
        ones.

        Args:
            extent: half the map's diagonal in metres.
        """
        if not self.right_errors or not self.wrong_errors or extent is None:
            return None
        if right > RADIUS_SHARE:
            return _quantile(self.right_errors, RADIUS_SHARE / right)
        return extent * _quantile(self.wrong_errors, (RADIUS_SHARE - right) / (1 - right))

    def save(self, file: Path) -> None:
        """Writes the file atomically.

        Raises:
            DacoError: it cannot be written.
        """
        try:
            write_text(file, self.model_dump_json(indent=2) + "\n")
        except OSError as error:
            raise DacoError(f"The calibration cannot be written to {file}: {reason_of(error)}.") from error

    def _standard(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        known = evidence[:, : len(self.mean)]  # a calibration of format 1 does not use the last value
        standard: NDArray[np.float64] = (known - np.array(self.mean)) / np.array(self.deviation)
        return standard


@dataclass(frozen=True)
class ActiveCalibration:
    """The calibration that an index uses, and its origin."""

    kind: CalibrationKind
    calibration: Calibration


def find_calibration(index: Path, fingerprint: str, references: int, reranks: bool = False) -> ActiveCalibration | None:
    """The calibration of an index; None if there is none, or if it is for another encoder or size of the map.

    A file that is damaged or cannot be read is ignored, with an entry in the log: the index can answer without it.

    Args:
        reranks: whether its candidates are re-ranked, which gives other evidence.
    """
    file = index / CALIBRATION_FILE
    try:
        if not file.is_file():
            return None
        calibration = read_calibration(file)
    except (DacoError, OSError) as error:
        log.error("%s Answers are uncalibrated until then.", error)
        return None
    growth = max(references, 1) / max(calibration.references, 1)
    if calibration.encoder != fingerprint or not 1 / MOST_GROWTH <= growth <= MOST_GROWTH:
        log.warning("%s was fitted for another encoder or size of the map, so it is not used: fit it again.", file)
        return None
    if calibration.has_votes != reranks:
        log.warning(
            "%s was fitted %s re-ranking, so it is not used: fit it again.", file, "without" if reranks else "with"
        )
        return None
    return ActiveCalibration("own" if calibration.by == "queries" else "self", calibration)


def find_prior(fingerprint: str) -> Calibration | None:
    """What the shipped encoder's answers are judged by where an index has no calibration; None for another encoder.

    It was fitted on several sets of photographs together (`daco-bench prior`), with re-ranking. A damaged file is
    ignored, with an entry in the log.
    """
    try:
        if not PRIOR_FILE.is_file():
            return None
        prior = read_calibration(PRIOR_FILE)
    except (DacoError, OSError) as error:
        log.error("%s Install daco-serve again: until then answers are uncalibrated.", error)
        return None
    return prior if prior.encoder == fingerprint else None


def read_calibration(file: Path) -> Calibration:
    """Reads a calibration from a file.

    Raises:
        DacoError: it cannot be read, has a newer format, or is not a calibration.
    """
    try:
        content = json.loads(file.read_bytes())
        if content["format_version"] > FORMAT_VERSION:
            raise DacoError(f"{file} has a newer format than this daco-serve reads: update daco-serve.")
        return Calibration.model_validate(content)
    except OSError as error:
        raise DacoError(f"{file} cannot be read: {reason_of(error)}.") from error
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise DacoError(f"{file} is not a calibration: fit it again with daco-bench calibrate.") from error


def map_extent(bundle: Bundle) -> float | None:
    """Half the diagonal of a map, or of its largest local frame, in metres; None without positions."""
    bounds = bundle.manifest.bounds
    if bounds is None:
        return bundle.catalog.frame_extent
    return float(distance_metres(bounds.south, bounds.west, bounds.north, bounds.east)) / 2


def _chance(logistic: Logistic, standard: NDArray[np.float64]) -> NDArray[np.float64]:
    chance: NDArray[np.float64] = 1 / (1 + np.exp(-(logistic.bias + standard @ np.array(logistic.weights))))
    return chance


def _quantile(quantiles: Sequence[float], at: float) -> float:
    return float(np.interp(at, np.linspace(0, 1, len(quantiles)), quantiles))
