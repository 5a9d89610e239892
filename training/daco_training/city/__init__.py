"""The demo city: a rendered place-recognition data set in the published folder layout."""

from daco_training.city.make import CityExtras, CityReport, CitySettings, make_city
from daco_training.city.viewpoint import Viewpoint

__all__ = ["CityExtras", "CityReport", "CitySettings", "Viewpoint", "make_city"]
