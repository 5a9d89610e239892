"""Recall under a change of viewpoint: of rendered cameras that move and turn, and of photographs that are warped."""
