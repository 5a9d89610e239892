"""Contrastive unpaired translation, trained on the data set itself.

Source: Park, Efros, Zhang and Zhu, "Contrastive Learning for Unpaired Image-to-Image Translation", ECCV 2020.
"""
