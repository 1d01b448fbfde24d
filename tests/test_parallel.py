"""What processes tell each other, between two real ones."""

from pathlib import Path

import torch.distributed as dist
import torch.multiprocessing as mp

from reaseq import parallel
from reaseq.parallel import Ranks

CONTENT = bytes(range(256)) * 10
PIECE = 1000


def _exchange(rank: int, folder: Path) -> None:
    """Of the process with this rank; what it was told is left in a folder of its own."""
    parallel.PIECE = PIECE
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    ranks, own = Ranks(rank, 2), folder / str(rank)
    sent, broadcast = [], dist.broadcast
    dist.broadcast = lambda tensor, source: (sent.append(tensor.numel()), broadcast(tensor, source))
    for name in ("large", "none"):
        ranks.copy_file(own / name)
    work: list[str] = []
    called = _offered(ranks, work) if ranks.leads else [ranks.called(), ranks.called()]
    told = ranks.agree(2**62 + 1 - rank), ranks.agree_on((1 + rank) / 3)
    (own / "told").write_text(repr((*told, max(sent), called, work)))
    dist.destroy_process_group()


def _offered(ranks: Ranks, work: list[str]) -> list[bool]:
    """Work that is done, and work that turns out to have been done before."""
    with ranks.announcing(work.append) as announced:
        announced("done")
    with ranks.announcing(work.append):
        pass
    return [True, False]


def test_the_leading_process_s_files_and_numbers_are_everyone_s(tmp_path: Path) -> None:
    for rank in range(2):
        (tmp_path / str(rank)).mkdir()
    (tmp_path / "0" / "large").write_bytes(CONTENT)
    (tmp_path / "1" / "none").write_bytes(b"of an earlier start")
    mp.spawn(_exchange, (tmp_path,), nprocs=2)
    for rank in range(2):
        assert (tmp_path / str(rank) / "large").read_bytes() == CONTENT
        assert sorted(path.name for path in (tmp_path / str(rank)).iterdir()) == ["large", "told"]
        done = [] if rank else ["done"]
        told = (2**62 + 1, 1 / 3, PIECE, [True, False], done)
        assert (tmp_path / str(rank) / "told").read_text() == repr(told)
