"""Answers queries, without HTTP: decoding, batching, embedding, localization, calibration."""
