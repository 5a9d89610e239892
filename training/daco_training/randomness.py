"""Random seeds as a pure function of their purpose, so that a run can be resumed at any point."""

import numpy as np


def derive_seed(*parts: int) -> int:
    """Derives a 64-bit seed from whole numbers such as (seed, epoch, index); different parts give unrelated seeds.

    Trailing zeros are ignored, and of each part only the lowest 32 bits are used.
    """
    return int(np.random.SeedSequence([part % 2**32 for part in parts]).generate_state(1, np.uint64)[0])
