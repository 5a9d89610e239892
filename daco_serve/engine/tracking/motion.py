"""How a camera moves between two frames: to which references, with which probability."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daco_serve.engine.tracking.states import Rows, States

LEAST_HEADING_DEVIATION = 20.0  # degrees: how far a camera may look aside from a reference that it stands at
DEVIATIONS = 3.0  # of the distance moved, beyond which a reference is out of reach
MOST_REACH = 400.0  # metres between two frames; farther, a track is found again as from an unknown start
MOST_TIMES = 30  # that the steps through a sequence are taken between two frames
STEADY = 0.9  # share of steps in which a camera goes on as it went before
VELOCITY_DEVIATION = 0.3  # of the velocity, in those steps

Velocity = tuple[float, float]


@dataclass(frozen=True)
class Odometry:
    """What a vehicle measured of its motion since the last frame, in its own frame at that time.

    Args:
        forward, left: metres.
        turn: degrees clockwise.
        deviation_metres, deviation_degrees: standard deviations of the displacement and of the turn.
    """

    forward: float
    left: float = 0.0
    turn: float = 0.0
    deviation_metres: float = 1.0
    deviation_degrees: float = 5.0

    def then(self, second: "Odometry") -> "Odometry":
        """Two motions, one after the other, as one."""
        angle = math.radians(self.turn)
        # the second is measured in a frame that the first has turned clockwise
        return Odometry(
            forward=self.forward + second.forward * math.cos(angle) + second.left * math.sin(angle),
            left=self.left - second.forward * math.sin(angle) + second.left * math.cos(angle),
            turn=self.turn + second.turn,
            deviation_metres=math.hypot(self.deviation_metres, second.deviation_metres),
            deviation_degrees=math.hypot(self.deviation_degrees, second.deviation_degrees),
        )


@dataclass(frozen=True)
class Motion:
    """The motion model of the filter.

    Args:
        speed: the most metres a second, where there is no odometry.
        jump: the probability between two frames of having been carried elsewhere.
        leave, enter: of leaving the map, and of coming back to it.
        steps: where the references have no positions, the probability of each number of references further, in a
            time of `step_seconds`; a longer time is several of them.

    Source: Thrun, Burgard, Fox, "Probabilistic Robotics", 2005, section 5 (motion models); Xu, Suenderhauf, Milford,
    "Probabilistic Visual Place Recognition for Hierarchical Localization", RA-L 2021, section III (the steps).
    """

    speed: float = 15.0
    jump: float = 1e-3
    leave: float = 0.01
    enter: float = 0.05
    steps: tuple[tuple[int, float], ...] = ((-1, 0.05), (0, 0.15), (1, 0.5), (2, 0.2), (3, 0.1))
    step_seconds: float = 1.0

    def transitions(
        self,
        states: States,
        rows: Rows,
        seconds: float,
        odometry: Odometry | None = None,
        velocity: Velocity | None = None,
    ) -> tuple[NDArray[np.int64], Rows, NDArray[np.float64]]:
        """Where a camera at each of some references may be after a time.

        Args:
            rows: (s,), references; no row twice.
            seconds: since the last frame.
            velocity: at which the track went on so far, metres a second east and north; not used beside odometry.

        Returns:
            For each possible step: the position of the reference in `rows`, the row that it leads to, and its
            probability; those of one reference add up to 1, less what leads beyond the ends of a sequence.
        """
        if not states.has_positions:
            steps, chances = self._further(seconds)
            source, target, which = states.following(rows, steps)
            return source, target, chances[which]
        source, target, weight = self._by_position(states, rows, seconds, odometry, velocity)
        total = np.bincount(source, weight, minlength=len(rows))
        weight = np.divide(weight, total[source], out=np.zeros_like(weight), where=total[source] > 0)
        return source, target, weight

    def _further(self, seconds: float) -> tuple[list[int], NDArray[np.float64]]:
        """How many references further a camera may be after a time, and how likely each number is."""
        least = min(step for step, _ in self.steps)
        once = np.zeros(max(step for step, _ in self.steps) - least + 1)
        for step, probability in self.steps:
            once[step - least] += probability
        times = min(max(round(seconds / self.step_seconds), 1), MOST_TIMES)
        chances = once
        for _ in range(times - 1):
            chances = np.convolve(chances, once)
        return [number + times * least for number in range(len(chances))], chances

    def _by_position(
        self, states: States, rows: Rows, seconds: float, odometry: Odometry | None, velocity: Velocity | None
    ) -> tuple[NDArray[np.int64], Rows, NDArray[np.float64]]:
        moved = self.speed * max(seconds, 0.0) if odometry is None else float(np.hypot(odometry.forward, odometry.left))
        unsure = moved / 2 if odometry is None else odometry.deviation_metres
        # a reference stands for the ground around it, half-way to the next
        deviation = float(np.hypot(unsure, states.spacing))
        centre = 0.0 if odometry is None else moved
        source, target = states.within(rows, min(centre + DEVIATIONS * deviation, MOST_REACH))
        origin = rows[source]
        off = states.distances(origin, target) - centre
        heading = np.radians(states.heading[origin])
        if odometry is not None and not np.isnan(heading).all():
            east = odometry.forward * np.sin(heading) - odometry.left * np.cos(heading)
            north = odometry.forward * np.cos(heading) + odometry.left * np.sin(heading)
            aimed = np.hypot(
                states.east[target] - states.east[origin] - east, states.north[target] - states.north[origin] - north
            )
            off = np.where(np.isnan(heading), off, aimed)
        weight = np.exp(-0.5 * (off / deviation) ** 2)
        if odometry is None and velocity is not None:
            onward_east, onward_north = velocity[0] * seconds, velocity[1] * seconds
            missed = np.hypot(
                states.east[target] - states.east[origin] - onward_east,
                states.north[target] - states.north[origin] - onward_north,
            )
            steady = np.hypot(states.spacing, VELOCITY_DEVIATION * np.hypot(onward_east, onward_north))
            weight = (1 - STEADY) * weight + STEADY * np.exp(-0.5 * (missed / steady) ** 2)
        if odometry is not None:
            turned = states.heading[target] - states.heading[origin] - odometry.turn
            turned = (turned + 180) % 360 - 180
            spread = float(np.hypot(odometry.deviation_degrees, LEAST_HEADING_DEVIATION))
            weight = weight * np.where(np.isnan(turned), 1.0, np.exp(-0.5 * (turned / spread) ** 2))
        return source, target, weight
