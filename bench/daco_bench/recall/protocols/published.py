"""The published protocols by name: the queries, the references, and which answers are right.

Folders and file names are those of VPR-datasets-downloader (https://github.com/gmberton/VPR-datasets-downloader); the
rule of distance is that of VPR-methods-evaluation's `test_dataset.py` (https://github.com/gmberton/
VPR-methods-evaluation, Berton et al., ICCV 2023): the Euclidean distance of the UTM coordinates in the names must be at
most 25 m, and all queries count. The sizes are those of the named papers, as repeated in the table of data sets of
Berton et al., "EigenPlaces", ICCV 2023.
"""

from dataclasses import dataclass
from typing import Literal

from daco_core.errors import UsageError


@dataclass(frozen=True)
class Protocol:
    """The rule for published results on a data set.

    Args:
        name: on the command line.
        data_set: its folder name in VPR-datasets-downloader.
        tolerance: the largest distance of a right answer, in metres or frames.
        unit: `metres` between UTM coordinates, or `frames` between the numbers in the seventh field of the names.
        queries, references: the published numbers; several if more than one set is in use.
        source: the publication.
        note: a remark for comparing results; empty if none.
        split: the folder of the split.
        query_folder: the name of the folder of queries.
        reference_folder: the name of the folder of references.
    """

    name: str
    data_set: str
    tolerance: float
    unit: Literal["metres", "frames"]
    queries: tuple[int, ...]
    references: tuple[int, ...]
    source: str
    note: str = ""
    split: str = "test"
    query_folder: str = "queries"
    reference_folder: str = "database"

    @property
    def rule(self) -> str:
        """When an answer is right, in words."""
        if self.unit == "metres":
            return f"right within {self.tolerance:g} m, by the UTM coordinates in the file names"
        if not self.tolerance:
            return "right if it has the query's number"
        return f"right within {self.tolerance:g} frame{'s' if self.tolerance > 1 else ''}, by the numbers in the names"

    @property
    def sizes(self) -> str:
        """The published numbers of queries and references, in words."""
        queries, references = (" or ".join(f"{size:,}" for size in sizes) for sizes in (self.queries, self.references))
        return f"{queries} queries, {references} references"


NETVLAD = "Arandjelovic et al., NetVLAD, CVPR 2016"
SVOX = "Berton et al., Adaptive-Attentive Geolocalization From Few Queries, WACV 2021"
NORDLAND_NOTE = (
    "Papers differ in which season has the queries: in VPR-Bench, SALAD and BoQ it is summer; in the downloader's"
    " nordland_subset and in Patch-NetVLAD it is winter."
)


def _svox(condition: str, queries: int) -> Protocol:
    return Protocol(
        f"svox-{condition}",
        "svox",
        25,
        "metres",
        (queries,),
        (17166,),
        SVOX,
        query_folder=f"queries_{condition}",
        reference_folder="gallery",
    )


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("amstertime", "amstertime", 0, "frames", (1231,), (1231,), "Yildiz et al., AmsterTime, ICPR 2022"),
        Protocol("eynsham", "eynsham", 25, "metres", (23935,), (23935,), "Cummins and Newman, FAB-MAP 2.0, RSS 2009"),
        Protocol(
            "msls-val",
            "msls",
            25,
            "metres",
            (740, 11084),
            (18871,),
            "Warburg et al., Mapillary Street-Level Sequences, CVPR 2020",
            "740 queries are the subset of the authors' loader, which most papers report; the downloader's"
            " format_mapillary.py writes all 11,084.",
            split="val",
        ),
        Protocol(
            "nordland",
            "nordland_subset",
            1,
            "frames",
            (2760,),
            (27592,),
            "Zaffar et al., VPR-Bench, IJCV 2021",
            NORDLAND_NOTE,
        ),
        Protocol(
            "nordland-10",
            "nordland",
            10,
            "frames",
            (27592,),
            (27592,),
            "Hausler et al., Patch-NetVLAD, CVPR 2021",
            NORDLAND_NOTE,
        ),
        Protocol("pitts30k", "pitts30k", 25, "metres", (6816,), (10000,), NETVLAD),
        Protocol("pitts250k", "pitts250k", 25, "metres", (8280,), (83952,), NETVLAD),
        Protocol(
            "sped",
            "sped",
            0,
            "frames",
            (607,),
            (607,),
            "Zaffar et al., VPR-Bench, IJCV 2021, of photographs by Chen et al., ICRA 2017",
        ),
        Protocol("st-lucia", "st_lucia", 25, "metres", (1464,), (1549,), "Milford and Wyeth, TRO 24(5), 2008"),
        *(
            _svox(condition, queries)
            for condition, queries in (("night", 823), ("overcast", 872), ("rain", 937), ("snow", 870), ("sun", 854))
        ),
        Protocol(
            "tokyo247",
            "tokyo247",
            25,
            "metres",
            (315,),
            (75984,),
            "Torii et al., 24/7 Place Recognition by View Synthesis, CVPR 2015",
        ),
    )
}


def find_protocol(name: str) -> Protocol:
    """The protocol of that name. Raises UsageError if there is none."""
    if name not in PROTOCOLS:
        raise UsageError(f"There is no protocol {name!r}: choose one of {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]
