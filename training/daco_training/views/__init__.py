"""Training images as random views: drawn, cropped, compiled for a GPU, prefetched."""
