"""Image files to upright RGB images; where they were taken; the published folder layout."""
