"""The estimated location is the one computed by hand."""

import math

import pytest

from daco_index.reranking import CANDIDATES
from daco_index.search.bundle import SearchMatch
from daco_index.search.catalog import Entry
from daco_serve.engine.answers import Estimate, EstimatedLocation
from daco_serve.engine.localize import (
    FLOOR_METRES,
    MATCHES,
    TEMPERATURE,
    USUAL_COUNT,
    USUAL_VOTES,
    find_cluster,
    localize,
)

METRE = 1 / 111195.0802  # degrees of latitude: 180 / (pi * 6371008.8)


def match(
    rank: int, similarity: float, latitude: float | None, longitude: float | None, heading: float | None = None
) -> SearchMatch:
    return SearchMatch(rank, similarity, Entry(rank, "/x.jpg", f"place {rank}", latitude, longitude, heading, 1, 1, ""))


def found(*matches: SearchMatch) -> EstimatedLocation:
    location = localize(matches).location
    assert location is not None
    return location


def place(*matches: SearchMatch) -> tuple[str, int]:
    estimate = localize(matches)
    assert estimate.best is not None
    return estimate.best.entry.place, estimate.support


def test_matches_without_a_position_give_no_location() -> None:
    assert localize([]) == Estimate("uncalibrated")
    only = match(1, 0.9, None, None)
    assert localize([only]) == Estimate("uncalibrated", best=only, support=1, considered=1)


def test_a_single_match_is_the_location_with_the_smallest_radius() -> None:
    location = found(match(1, 0.9, 10.0, 20.0, 45.0))
    assert (location.latitude, location.longitude, location.heading) == (10.0, 20.0, 45.0)
    assert location.uncertainty_metres == FLOOR_METRES
    assert place(match(1, 0.9, 10.0, 20.0)) == ("place 1", 1)


def test_two_equal_matches_give_the_point_between_them() -> None:
    # 20 m apart: the middle is 10 m from each, so the radius is sqrt(10^2 + 10^2)
    two = match(1, 0.9, 0.0, 0.0), match(2, 0.9, 20 * METRE, 0.0)
    location = found(*two)
    assert location.latitude == pytest.approx(10 * METRE, abs=1e-7)
    assert location.uncertainty_metres == pytest.approx(14.1, abs=0.05)
    assert place(*two) == ("place 1", 2)


def test_a_match_less_similar_by_the_temperature_has_the_weight_1_over_e() -> None:
    location = found(match(1, 0.9, 0.0, 0.0), match(2, 0.9 - TEMPERATURE, 0.0, 20 * METRE))
    share = math.exp(-1) / (1 + math.exp(-1))
    assert location.longitude == pytest.approx(20 * share * METRE, abs=1e-7)


def test_a_distant_rival_keeps_the_place_and_enlarges_the_radius() -> None:
    # equal weights, 1000 m apart: the mean square distance from the first is 500000 m^2
    two = match(1, 0.9, 0.0, 0.0), match(2, 0.9, 1000 * METRE, 0.0)
    location = found(*two)
    assert location.latitude == 0
    assert location.uncertainty_metres == pytest.approx(math.sqrt(100 + 500_000), abs=0.1)
    assert place(*two) == ("place 1", 1)


def test_a_best_match_without_a_position_is_skipped() -> None:
    two = match(1, 0.9, None, None), match(2, 0.8, 5.0, 6.0)
    location = found(*two)
    assert (location.latitude, location.longitude, *place(*two)) == (5.0, 6.0, "place 2", 1)


def test_locations_work_across_the_180th_meridian() -> None:
    two = match(1, 0.9, 0.0, 180 - 5 * METRE), match(2, 0.9, 0.0, -180 + 5 * METRE)
    assert abs(found(*two).longitude) == pytest.approx(180, abs=1e-6)
    assert place(*two) == ("place 1", 2)


def test_locations_work_at_the_poles() -> None:
    assert found(match(1, 0.9, 90.0, 0.0), match(2, 0.9, 90.0, 170.0)).latitude == 90


def test_headings_are_averaged_across_north_and_contradicting_ones_give_none() -> None:
    north = found(match(1, 0.9, 0.0, 0.0, 350.0), match(2, 0.9, 0.0, 0.0, 20.0), match(3, 0.9, 0.0, 0.0))
    assert north.heading == pytest.approx(5.0)
    assert found(match(1, 0.9, 0.0, 0.0, 0.0), match(2, 0.9, 0.0, 0.0, 180.0)).heading is None


def test_several_agreeing_matches_outweigh_one_that_is_slightly_more_similar() -> None:
    apart = match(1, 0.9, 0.0, 0.0)
    agreeing = [match(rank, 0.89, 1000 * METRE, rank * METRE) for rank in (2, 3, 4)]
    location = found(apart, *agreeing)
    assert place(apart, *agreeing) == ("place 2", 3)
    assert localize([apart, *agreeing]).considered == 4
    assert location.latitude == pytest.approx(1000 * METRE, abs=1e-6)


def test_the_evidence_is_similarity_margin_share_and_support() -> None:
    cluster = find_cluster([match(1, 0.9, 0.0, 0.0), match(2, 0.8, 0.0, METRE), match(3, 0.7, 1.0, 1.0)])
    assert cluster is not None
    weights = [1, math.exp(-0.1 / TEMPERATURE), math.exp(-0.2 / TEMPERATURE)]
    assert cluster.evidence == pytest.approx((0.9, 0.2, sum(weights[:2]) / sum(weights), 0.2))


def test_without_positions_photographs_of_one_place_name_support_each_other() -> None:
    one, other = (SearchMatch(rank, 0.9, Entry(rank, "/x", "gate", None, None, None, 1, 1, "")) for rank in (1, 2))
    cluster = find_cluster([one, other, match(3, 0.8, None, None)])
    assert cluster is not None and [m.rank for m, _ in cluster.members] == [1, 2]


def test_without_a_calibration_even_a_perfect_match_is_not_located() -> None:
    for similarity in (0.088, 1.0):
        estimate = localize([match(1, similarity, 10.0, 20.0)])
        assert (estimate.verdict, estimate.probability, estimate.on_map) == ("uncalibrated", None, None)
        assert estimate.location is not None and not estimate.location.calibrated


def test_after_re_ranking_the_evidence_includes_votes_lead_agreement_and_prominence() -> None:
    matches = [
        match(1, 0.7, 0.0, 0.0)._replace(votes=50.0, share=0.6),
        match(2, 0.9, 0.0, METRE)._replace(votes=20.0, share=0.3),
        match(3, 0.8, 1.0, 1.0)._replace(votes=10.0, share=0.2),
    ]
    cluster = find_cluster(matches)
    assert cluster is not None and cluster.members[0][0].rank == 1  # though another is more similar
    assert cluster.evidence[:2] == pytest.approx((0.7, -0.1)) and cluster.evidence[3] == 0.2
    assert cluster.evidence[4:7] == pytest.approx((math.log(51), math.log(51 / 11), 0.6))
    assert cluster.elsewhere == [10.0]  # the second shows the same place
    background = (math.log(11) + USUAL_COUNT * math.log(1 + USUAL_VOTES)) / (1 + USUAL_COUNT)
    assert cluster.evidence[7] == pytest.approx(math.log(51) - background)


def test_prominence_is_lower_if_other_candidates_have_many_votes_also_beyond_the_first_ten() -> None:
    def prominence(votes: float, count: int) -> float:
        best = match(1, 0.9, 0.0, 0.0)._replace(votes=60.0, share=0.5)
        others = [match(rank, 0.5, rank, 0.0)._replace(votes=votes, share=0.1) for rank in range(2, 2 + count)]
        cluster = find_cluster([best, *others])
        assert cluster is not None
        return cluster.evidence[7]

    assert prominence(50.0, 5) < prominence(20.0, 5)
    assert prominence(50.0, CANDIDATES - 1) < prominence(50.0, MATCHES - 1) < prominence(50.0, 0)
    assert prominence(50.0, 30) == prominence(50.0, CANDIDATES - 1)  # however many were compared


def test_the_location_follows_the_votes_if_there_are_any() -> None:
    similar, voted = match(1, 0.9, 50.0, 0.0), match(2, 0.8, 0.0, 0.0)
    assert localize([similar, voted]).best == similar
    ranked = [voted._replace(rank=1, votes=40.0), similar._replace(rank=2, votes=12.0)]
    assert localize(ranked).best == ranked[0]
