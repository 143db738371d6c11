"""How many threads torch works in."""

import torch

from anr_core.threads import running_on


def test_threads_are_what_they_were_afterwards():
    before = torch.get_num_threads()
    with running_on(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
