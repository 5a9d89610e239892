"""The demo city: a place-recognition data set that everybody can render, in the published folder layout."""

from daco_training.city.make import CityReport, make_city

__all__ = ["CityReport", "make_city"]
