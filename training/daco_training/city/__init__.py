"""The demo city: a rendered place-recognition data set in the published folder layout."""

from daco_training.city.make import CityReport, make_city
from daco_training.city.viewpoint import Viewpoint

__all__ = ["CityReport", "Viewpoint", "make_city"]
