"""What a photograph shows: depth, sky, lamps, light."""
