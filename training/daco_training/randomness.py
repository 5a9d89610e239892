"""Random numbers as a pure function of their purpose, so that a run can be resumed anywhere."""

import numpy as np


def derive_seed(*parts: int) -> int:
    """A 64-bit seed from whole numbers such as (seed, epoch, index); different parts give unrelated seeds.

    Zeros at the end do not count, and of each part the lowest 32 bits do.
    """
    return int(np.random.SeedSequence([part % 2**32 for part in parts]).generate_state(1, np.uint64)[0])
