"""CUT, contrastive unpaired translation: a network trained on the data set itself.

Source: Park, Efros, Zhang and Zhu, "Contrastive Learning for Unpaired Image-to-Image Translation", ECCV 2020.
"""
