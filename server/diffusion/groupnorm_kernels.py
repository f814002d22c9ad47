"""The Triton kernels of `groupnorm`. Importing this needs Triton, which comes with torch for CUDA only.

A picture of `rows` = height x width pixels and `channels` lies in memory as a matrix [rows, channels], the layout that
the tensor cores' convolutions work in. Three launches read it twice and write it once:

1. `measure`: the mean and the sum of squared deviations of each channel in each *split*, a run of rows.
2. `combine`: of these those of each group, and from them each channel's mean and factor.
3. `normalize`: (x - mean) * factor + bias, then SiLU.

Sums are in float32 and by deviations from a running mean (Welford; Chan, Golub and LeVeque for merging two of them):
the difference of the mean of squares and the squared mean, which needs one pass less, loses all its digits where the
mean is some thousand times the deviation. No two programs write to one place, and what is summed with what follows from
`rows` and `channels`: a picture's result doesn't depend on how many share the launch, nor on the run.
"""

# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator, no-any-unimported"

from typing import Any

import torch
import triton
import triton.language as tl

# Rows and channels that a program of `measure` and `normalize` holds at a time: 64 channels in 16 bits are one line of
# the cache, and 64 x 64 of them give each of 128 threads four loads of 16 bytes to wait for at once.
BLOCK_ROWS = 64
BLOCK_CHANNELS = 64
WARPS = 4
# Enough programs for one picture to fill a GPU of 132 multiprocessors; more splits only add to what `combine` reads.
PROGRAMS_PER_PICTURE = 1024
# Elements that a program of `combine` holds at a time.
COMBINED = 2048


def rows_per_split(rows: int, channels: int) -> int:
    """How many rows one program of `measure` goes through: a multiple of BLOCK_ROWS.

    It must not be made to follow the number of pictures, or a picture's rounding would depend on its company.
    """
    splits = max(1, PROGRAMS_PER_PICTURE // triton.cdiv(channels, BLOCK_CHANNELS))
    return max(1, triton.cdiv(rows, BLOCK_ROWS * splits)) * BLOCK_ROWS


def launch(
    x: torch.Tensor, out: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, groups: int, eps: float, silu: bool
) -> None:
    """Normalize the groups of `x` into `out`.

    Args:
        x: [pictures, channels, ...], in memory as [pictures, rows, channels] without gaps.
        out: of the shape, type and layout of `x`.
        weight: [channels].
        bias: [channels].
        groups: a divisor of channels.
        eps: what is added to the variance.
        silu: whether SiLU follows.
    """
    pictures, channels = x.shape[:2]
    rows = x.numel() // (pictures * channels)
    length = rows_per_split(rows, channels)
    splits = triton.cdiv(rows, length)
    blocks = triton.cdiv(channels, BLOCK_CHANNELS)
    width = channels // groups
    padded = triton.next_power_of_2(width)
    partial = torch.empty((pictures, splits, 2, channels), dtype=torch.float32, device=x.device)
    affine = torch.empty((pictures, 2, channels), dtype=torch.float32, device=x.device)
    tile: dict[str, Any] = {"block_rows": BLOCK_ROWS, "block_channels": BLOCK_CHANNELS, "num_warps": WARPS}
    measure[(splits, blocks, pictures)](x, partial, rows, channels, length, **tile)
    combine[(groups, pictures)](
        partial,
        weight,
        affine,
        rows,
        channels,
        width,
        length,
        splits,
        eps,
        block_splits=min(triton.next_power_of_2(splits), max(1, COMBINED // padded)),
        block_width=padded,
        num_warps=WARPS,
    )
    normalize[(triton.cdiv(rows, BLOCK_ROWS), blocks, pictures)](
        x, out, affine, bias, rows, channels, silu=silu, **tile
    )


@triton.jit
def measure(x, partial, rows, channels, length, block_rows: tl.constexpr, block_channels: tl.constexpr):  # type: ignore[no-untyped-def]
    """Of each split and channel: the mean, and the sum of squared deviations from it."""
    split = tl.program_id(0)
    picture = tl.program_id(2).to(tl.int64)
    lane = tl.arange(0, block_rows)
    channel = tl.program_id(1) * block_channels + tl.arange(0, block_channels)
    start = split * length
    count = tl.minimum(length, rows - start)
    # In 64 bits: a batch of large pictures has more than 2^31 elements.
    start_of_split = x + (picture * rows + start) * channels
    mean = tl.zeros((block_rows, block_channels), tl.float32)
    squares = tl.zeros((block_rows, block_channels), tl.float32)
    for step in range(tl.cdiv(count, block_rows)):
        row = step * block_rows + lane
        inside = (row < count)[:, None] & (channel < channels)[None, :]
        value = tl.load(start_of_split + row[:, None] * channels + channel[None, :], mask=inside, other=0.0)
        value = value.to(tl.float32)
        deviation = tl.where(inside, value - mean, 0.0)
        mean += deviation * (1.0 / (step + 1))
        squares += deviation * (value - mean)
    seen = tl.maximum(count - lane + block_rows - 1, 0) // block_rows
    seen = seen.to(tl.float32)[:, None]
    mean_of_all = tl.sum(mean * seen, axis=0) / count
    deviation = mean - mean_of_all[None, :]
    squares_of_all = tl.sum(squares + deviation * deviation * seen, axis=0)
    target = partial + (picture * tl.num_programs(0) + split) * 2 * channels + channel
    tl.store(target, mean_of_all, mask=channel < channels)
    tl.store(target + channels, squares_of_all, mask=channel < channels)


@triton.jit
def combine(  # type: ignore[no-untyped-def]
    partial,
    weight,
    affine,
    rows,
    channels,
    width,
    length,
    splits,
    eps,
    block_splits: tl.constexpr,
    block_width: tl.constexpr,
):
    """Of each channel: the mean of its group, and weight / standard deviation."""
    picture = tl.program_id(1).to(tl.int64)
    lane = tl.arange(0, block_splits)
    offset = tl.arange(0, block_width)
    channel = tl.program_id(0) * width + offset
    start_of_picture = partial + picture * splits * 2 * channels
    seen = tl.zeros((block_splits, block_width), tl.float32)
    mean = tl.zeros((block_splits, block_width), tl.float32)
    squares = tl.zeros((block_splits, block_width), tl.float32)
    for step in range(tl.cdiv(splits, block_splits)):
        split = step * block_splits + lane
        inside = (split < splits)[:, None] & (offset < width)[None, :]
        source = start_of_picture + split[:, None] * 2 * channels + channel[None, :]
        their_mean = tl.load(source, mask=inside, other=0.0)
        their_squares = tl.load(source + channels, mask=inside, other=0.0)
        theirs = tl.minimum(length, rows - split * length).to(tl.float32)
        theirs = tl.where(inside, theirs[:, None], 0.0)
        together = seen + theirs
        share = theirs / tl.maximum(together, 1.0)
        deviation = their_mean - mean
        mean += deviation * share
        squares += their_squares + deviation * deviation * seen * share
        seen = together
    count = rows * width
    mean_of_group = tl.sum(mean * seen) / count
    deviation = mean - mean_of_group
    variance = tl.sum(squares + deviation * deviation * seen) / count
    inside = offset < width
    factor = tl.load(weight + channel, mask=inside, other=0.0).to(tl.float32) * (1.0 / tl.sqrt(variance + eps))
    target = affine + picture * 2 * channels + channel
    tl.store(target, tl.zeros_like(factor) + mean_of_group, mask=inside)
    tl.store(target + channels, factor, mask=inside)


@triton.jit
def normalize(  # type: ignore[no-untyped-def]
    x,
    out,
    affine,
    bias,
    rows,
    channels,
    silu: tl.constexpr,
    block_rows: tl.constexpr,
    block_channels: tl.constexpr,
):
    """(x - mean) * factor + bias, then SiLU; the subtraction first, since close to a large mean it is exact."""
    # From the end: what `measure` read last is most likely to be in the cache still.
    block = tl.num_programs(0) - 1 - tl.program_id(0)
    picture = (tl.num_programs(2) - 1 - tl.program_id(2)).to(tl.int64)
    lane = tl.arange(0, block_rows)
    channel = tl.program_id(1) * block_channels + tl.arange(0, block_channels)
    source = affine + picture * 2 * channels + channel
    in_width = channel < channels
    mean = tl.load(source, mask=in_width, other=0.0)[None, :]
    factor = tl.load(source + channels, mask=in_width, other=0.0)[None, :]
    shift = tl.load(bias + channel, mask=in_width, other=0.0).to(tl.float32)[None, :]
    start = block * block_rows
    start_of_block = (picture * rows + start) * channels
    inside = (start + lane < rows)[:, None] & in_width[None, :]
    offset = lane[:, None] * channels + channel[None, :]
    value = tl.load(x + start_of_block + offset, mask=inside, other=0.0).to(tl.float32)
    value = (value - mean) * factor + shift
    if silu:
        value = value / (1.0 + tl.exp(-value))
    tl.store(out + start_of_block + offset, value.to(out.dtype.element_ty), mask=inside)
