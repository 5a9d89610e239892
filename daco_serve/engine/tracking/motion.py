"""The motion model: to which references a camera moves between two frames, with which probabilities."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daco_serve.engine.tracking.states import Rows, States

LEAST_HEADING_DEVIATION = 20.0  # degrees by which a camera's heading may differ from that of a reference at its place
DEVIATIONS = 3.0  # standard deviations of the distance moved, beyond which a reference is out of reach
MOST_REACH = 400.0  # metres between two frames; beyond it, the position is unknown as at the start
MOST_TIMES = 30  # the most steps through a sequence between two frames
STEADY = 0.9  # share of steps in which a camera keeps its velocity
VELOCITY_DEVIATION = 0.3  # standard deviation of those steps, relative to the velocity

Velocity = tuple[float, float]


@dataclass(frozen=True)
class Odometry:
    """The motion that a vehicle measured since the previous frame, in its own frame at that time.

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
        """The sum of two consecutive motions."""
        angle = math.radians(self.turn)
        # the second is measured in a frame that the first has rotated clockwise
        return Odometry(
            forward=self.forward + second.forward * math.cos(angle) + second.left * math.sin(angle),
            left=self.left - second.forward * math.sin(angle) + second.left * math.cos(angle),
            turn=self.turn + second.turn,
            deviation_metres=math.hypot(self.deviation_metres, second.deviation_metres),
            deviation_degrees=math.hypot(self.deviation_degrees, second.deviation_degrees),
        )


@dataclass(frozen=True)
class Motion:
    """The parameters of the motion model.

    Args:
        speed: the highest speed in metres per second, without odometry.
        jump: the probability, between two frames, of having been carried elsewhere.
        leave, enter: the probabilities of leaving the map and of returning to it.
        steps: if the references have no positions, the probabilities of moving by 0, 1, 2, ... references in
            `step_seconds`; in a longer time, several such steps are made.

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
            rows: (s,), references, without repetitions.
            seconds: since the previous frame.
            velocity: of the track so far, metres per second east and north; ignored if there is odometry.

        Returns:
            For each possible transition: the position of the reference in `rows`, the row that it leads to, and its
            probability. Those of one reference add up to 1, less what leads beyond the ends of a sequence.
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
        """By how many references a camera may advance in a time, and the probability of each number."""
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
        # a reference represents the ground around it, half-way to the next
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
