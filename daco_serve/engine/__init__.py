"""What answers a query, without HTTP: decoding, batching, embedding, localization, calibration."""
