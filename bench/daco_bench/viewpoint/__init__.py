"""Recall under changes of viewpoint: of rendered cameras that move and turn, and of warped photographs."""
