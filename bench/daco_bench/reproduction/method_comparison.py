"""One comparison of methods in its own folder: photographs, twins, runs and report."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from daco_bench.reproduction.conditions import Conditions
from daco_bench.reproduction.contenders import Contender
from daco_bench.reproduction.data import City, make_city_data, make_twins
from daco_bench.reproduction.page import claims, write_report
from daco_bench.reproduction.report import load_outcomes, make_report
from daco_bench.reproduction.runs import DataFolder, Run, Scale, TrainingData, plan_runs
from daco_core.photographs.layout import DataSet

RANKS = (1, 2, 4, 8)
USUAL, LARGER = "data", "data_more_streets"


@dataclass(frozen=True)
class MethodComparison:
    """A comparison on two conditions of the rendered city or on an existing data set.

    Args:
        folder: receives twins, runs, outcomes, the report and, for a city, its photographs.
        contenders: the methods and variants that are compared.
        conditions: of the city; None for an existing data set.
        city: how much of it is rendered.
        more_places: places of the city from which the contenders with more streets learn.
        given: the existing data set.
        beside: the published data set whose recalls are shown for comparison; None for none.
    """

    folder: Path
    contenders: Sequence[Contender]
    conditions: Conditions | None = None
    city: City | None = None
    more_places: int = 0
    given: DataSet | None = None
    beside: str | None = None

    @property
    def dataset(self) -> DataSet:
        """The data set of all contenders except those with more streets; it may have to be rendered first."""
        return DataSet(*self._data(USUAL))

    def make_data(self, cut_iters: int, device: str) -> None:
        """Renders photographs and makes twins; existing files are kept.

        Raises:
            DacoError: the folders hold other data, a translator cannot work on it, or Mitsuba is not installed.
        """
        if self.city is not None and self.conditions is not None:
            make_city_data(self.city, self.conditions, self.folder / USUAL)
            if any(one.more_streets for one in self.contenders):
                larger = replace(self.city, places=self.more_places)
                make_city_data(larger, self.conditions, self.folder / LARGER)
        for twins, more in dict.fromkeys((one.twins, one.more_streets) for one in self.contenders):
            if twins is not None:
                kind = LARGER if more else USUAL
                make_twins(DataSet(*self._data(kind)), twins, self._twins_folder(twins, more), cut_iters, device)

    def runs(self, seeds: Sequence[int], scale: Scale, device: str) -> list[Run]:
        """All runs, finished or not."""
        data: dict[TrainingData, DataFolder] = {}
        for twins, more in {(one.twins, one.more_streets) for one in self.contenders}:
            data_root, data_name = self._data(LARGER if more else USUAL)
            data[twins, more] = (data_root if twins is None else self._twins_folder(twins, more)), data_name
        return plan_runs(self.contenders, seeds, scale, data, self.folder, device)

    def to_render(self) -> dict[str, int]:
        """For each condition, how many photographs are not rendered yet."""
        if self.city is None or self.conditions is None:
            return {}
        more = any(one.more_streets for one in self.contenders)
        city = replace(self.city, places=self.more_places) if more else self.city
        return {name: city.missing(name) for name in (self.conditions.first, self.conditions.second)}

    def report(self) -> list[str]:
        """Writes the report; returns a summary, line by line.

        Raises:
            DacoError: there are no outcomes, or they do not belong together or to these photographs.
        """
        outcomes = load_outcomes(self.folder / "outcomes")
        report = make_report(outcomes, self.dataset, RANKS, self.beside)
        files = write_report(report, outcomes, RANKS, self.folder / "report", self.dataset)
        supported = claims(report.of_daco)
        return [self.dataset.name, report.scale, *supported, f"Written to {', '.join(map(str, files))}."]

    def _data(self, kind: str) -> DataFolder:
        if self.given is not None:
            return self.given.data_root, self.given.name
        assert self.conditions is not None
        return self.folder / kind, self.conditions.name

    def _twins_folder(self, twins: str, more: bool) -> Path:
        return self.folder / "twins" / (f"{twins}_more_streets" if more else twins)
