"""Random views of training images: drawing, cropping, compiled rendering for a GPU, prefetching."""
