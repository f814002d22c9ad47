"""Calls of a model seen as rows of a batch: which may share a pass, how they are joined, what each gets back."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.utils.outputs import BaseOutput
from transformers.utils.generic import ModelOutput

from server.diffusion.interning import Interned

_UNBATCHED = {"img_ids", "txt_ids", "image_rotary_emb"}
"""Arguments of transformers that hold positions, the same for each row: they have no batch dimension."""

_ROW_BY_ROW = {"img_shapes", "txt_seq_lens"}
"""Arguments that are lists with one entry a row, of plain values."""

_TIMESTEPS = {"timestep", "timesteps", "t"}
"""Where schedulers count in integers or in floats, models compute with floats; as such they can be in one batch."""


class NotRows(Exception):
    """What a model returned does not have a row for each that it was given."""


@dataclass(frozen=True)
class _Slot:
    """Stands for the tensor or the list of this number; both have an entry a row."""

    number: int
    of_tensors: bool


@dataclass(frozen=True)
class _Repeated:
    """Stands for a list of this value, once a row."""

    value: Any


@dataclass(frozen=True)
class Rows:
    """One call's arguments.

    Attributes:
        given: the arguments by name, as they were.
        count: how many rows they are.
        key: calls of the same key may share a pass.
        lasting: whether the key means the same for as long as the process lives.
        tensors: those that have a row in the batch dimension, each of shape (count, ...).
        lists: those of length `count` that a model takes instead of a batch.
        template: the arguments, with slots in place of tensors and lists.
    """

    given: Mapping[str, Any]
    count: int
    key: Hashable
    lasting: bool
    tensors: Sequence[torch.Tensor]
    lists: Sequence[list[Any]]
    template: Mapping[str, Any]

    @property
    def first(self) -> torch.Tensor | None:
        """The first argument, where it is a tensor."""
        return self.tensors[0] if self.tensors else None

    def fill(self, tensors: Sequence[torch.Tensor], lists: Sequence[list[Any]], count: int) -> dict[str, Any]:
        """The arguments of a pass of `count` rows, made of these tensors and lists in place of this call's own."""
        return {name: _fill(value, tensors, lists, count) for name, value in self.template.items()}

    def one_by_one(self) -> list[dict[str, Any]]:
        """The arguments of a call for each row."""
        return [
            self.fill([tensor[row : row + 1] for tensor in self.tensors], [[items[row]] for items in self.lists], 1)
            for row in range(self.count)
        ]


def see_rows(arguments: Mapping[str, Any], interned: Interned, layers: Hashable = None) -> Rows | None:
    """The arguments as rows; `None` where they are none, so that the call has to be made alone.

    Args:
        layers: tells calls apart that go through other layers.
        arguments: by name; the first, a tensor with a batch dimension or a list, tells how many rows there are.
        interned: tells which tensors without a batch dimension are equal.
    """
    match next(iter(arguments.values()), None):
        case torch.Tensor() as first if first.ndim:
            count = first.shape[0]
        case list() as first if first and _has_tensors(first):
            count = len(first)
        case _:
            return None
    reader = _Reader(count, first.device if isinstance(first, torch.Tensor) else None, interned)
    parts = [(name, *reader.read(name, value)) for name, value in arguments.items()]
    return Rows(
        given=arguments,
        count=count,
        key=(layers, *((name, key) for name, key, _ in parts)),
        lasting=reader.lasting,
        tensors=reader.tensors,
        lists=reader.lists,
        template={name: template for name, _, template in parts},
    )


def join(calls: Sequence[Rows]) -> dict[str, Any]:
    """The arguments of one pass for calls of the same key, row after row."""
    first = calls[0]
    tensors = [torch.cat(parts) for parts in zip(*(call.tensors for call in calls), strict=True)]
    lists = [[item for part in parts for item in part] for parts in zip(*(call.lists for call in calls), strict=True)]
    return first.fill(tensors, lists, sum(call.count for call in calls))


def split(result: Any, counts: Sequence[int], rows: int | None = None, *, lists: bool = False) -> list[Any]:
    """What each call gets of the result of a shared pass.

    Args:
        result: tensors with a batch dimension, or lists with an entry a row, in whatever outputs, tuples and dicts.
        counts: the rows of each call, in order.
        rows: how many the pass had, at least those of all calls; the rest is left out. `None` is just those.
        lists: whether the model takes, and so returns, lists in place of batches. A list as long as the batch may
            also be one of batches, as of the layers of a ControlNet.

    Raises:
        NotRows: there is something in it that is neither.
    """
    rows = sum(counts) if rows is None else rows
    match result:
        case torch.Tensor() if _is_batch(result, rows):
            return list(torch.split(result[: sum(counts)], list(counts)))
        case DiagonalGaussianDistribution():
            parts = split(result.parameters, counts, rows)
            return [DiagonalGaussianDistribution(part, result.deterministic) for part in parts]
        case ModelOutput() | BaseOutput():
            fields = {name: split(value, counts, rows, lists=lists) for name, value in result.items()}
            return [
                type(result)(**{name: parts[index] for name, parts in fields.items()}) for index in range(len(counts))
            ]
        case dict():
            fields = {name: split(value, counts, rows, lists=lists) for name, value in result.items()}
            return [{name: parts[index] for name, parts in fields.items()} for index in range(len(counts))]
        case list() if len(result) == rows and (lists or not all(_is_batch(item, rows) for item in result)):
            starts = [sum(counts[:index]) for index in range(len(counts))]
            return [result[start : start + count] for start, count in zip(starts, counts, strict=True)]
        case tuple() | list():
            items = [split(item, counts, rows, lists=lists) for item in result]
            return [type(result)(parts[index] for parts in items) for index in range(len(counts))]
        case None | bool() | int() | float() | str():
            return [result] * len(counts)
    raise NotRows(f"{type(result).__name__} cannot be split into rows")


def merge(results: Sequence[Any]) -> Any:
    """The result of a call whose rows were made one by one, of what each has come to.

    Raises:
        NotRows: there is something in it that has no row for each.
    """
    first = results[0]
    match first:
        case torch.Tensor() if first.ndim and first.shape[0] == 1:
            return torch.cat(list(results))
        case DiagonalGaussianDistribution():
            return DiagonalGaussianDistribution(merge([one.parameters for one in results]), first.deterministic)
        case ModelOutput() | BaseOutput():
            return type(first)(**{name: merge([one[name] for one in results]) for name in first})
        case dict():
            return {name: merge([one[name] for one in results]) for name in first}
        case list() if len(first) == 1 and not _is_batch(first[0], 1):
            return [item for one in results for item in one]
        case tuple() | list():
            return type(first)(merge(items) for items in zip(*results, strict=True))
        case None | bool() | int() | float() | str():
            return first
    raise NotRows(f"{type(first).__name__} cannot be made of rows")


def buffers(example: Rows, count: int) -> list[torch.Tensor]:
    """Memory for the tensors of a call of `count` rows, filled with those of the example over and over."""
    return [
        torch.cat([tensor[:1].expand(count, *tensor.shape[1:])]).contiguous(memory_format=_format(tensor))
        for tensor in example.tensors
    ]


def possible_counts(counts: Sequence[int], rows: int, most: int) -> list[int]:
    """Of these numbers of rows, in ascending order, those of passes of up to `most` whose calls have `rows` each."""
    sums = range(rows, max(rows, most) + 1, rows)
    return sorted({next(count for count in counts if count >= total) for total in sums})


class _Reader:
    def __init__(self, count: int, device: torch.device | None, interned: Interned) -> None:
        self.lasting = True
        self.tensors: list[torch.Tensor] = []
        self.lists: list[list[Any]] = []
        self._count = count
        self._device = device
        self._interned = interned

    def read(self, name: str, value: Any) -> tuple[Hashable, Any]:
        """The part of the key, and of the template, for a value anywhere in the argument `name`."""
        if name in _TIMESTEPS and isinstance(value, int | float) and not isinstance(value, bool) and self._device:
            value = torch.tensor(float(value), device=self._device)
        match value:
            case torch.Tensor():
                return self._read_tensor(name, value)
            case list() if len(value) == self._count and _has_tensors(value) and not self._are_batches(value):
                slot = _Slot(len(self.lists), of_tensors=False)
                self.lists.append(value)
                return ("list", *dict.fromkeys(map(_shape_of_entry, value))), slot
            case list() if name in _ROW_BY_ROW and len(value) == self._count and all(v == value[0] for v in value):
                key, _ = self.read("", value[0])
                return ("each", key), _Repeated(value[0])
            case list() | tuple():
                parts = [self.read(name, item) for item in value]
                return (type(value), *(key for key, _ in parts)), type(value)(template for _, template in parts)
            # By numbers, those of rows, as OmniGen has the places of its pictures, it holds for this call alone.
            case dict() if all(isinstance(key, str) for key in value):
                items = {key: self.read(key, item) for key, item in value.items()}
                return (
                    ("dict", *((key, part) for key, (part, _) in sorted(items.items(), key=lambda item: item[0]))),
                    {key: template for key, (_, template) in items.items()},
                )
            case None | bool() | int() | float() | str() | torch.dtype() | torch.device():
                return (type(value), value), value
        self.lasting = False
        return ("object", id(value)), value

    def _read_tensor(self, name: str, value: torch.Tensor) -> tuple[Hashable, Any]:
        if name in _TIMESTEPS and not value.is_floating_point():
            value = value.float()
        if name not in _UNBATCHED:
            if value.ndim == 0:
                value = value.expand(self._count)
            elif value.shape[0] == 1:
                value = value.expand(self._count, *value.shape[1:])
            if value.shape[0] == self._count:
                slot = _Slot(len(self.tensors), of_tensors=True)
                self.tensors.append(value)
                return (value.dtype, value.device, *value.shape[1:]), slot
        value = self._interned.find(value)
        # The interned one outlives this call, but not for ever.
        return ("shared", id(value)), value

    def _are_batches(self, items: Sequence[Any]) -> bool:
        return all(_is_batch(item, self._count) for item in items)


def _is_batch(item: Any, count: int) -> bool:
    return isinstance(item, torch.Tensor) and item.ndim > 0 and item.shape[0] == count


def _has_tensors(value: Any) -> bool:
    return isinstance(value, torch.Tensor) or (
        isinstance(value, list | tuple) and len(value) > 0 and any(map(_has_tensors, value))
    )


def _shape_of_entry(entry: Any) -> Hashable:
    """What entries of a list have to have in common; a model that takes captions as lists takes any length."""
    if isinstance(entry, torch.Tensor):
        shape = entry.shape[1:] if entry.ndim == 2 else entry.shape
        return (entry.dtype, entry.device, entry.ndim, *shape)
    return tuple(map(_shape_of_entry, entry)) if isinstance(entry, list | tuple) else (type(entry), entry)


def _fill(template: Any, tensors: Sequence[torch.Tensor], lists: Sequence[list[Any]], count: int) -> Any:
    match template:
        case _Slot(number=number, of_tensors=True):
            return tensors[number]
        case _Slot(number=number):
            return lists[number]
        case _Repeated(value=value):
            return [value] * count
        case list() | tuple():
            return type(template)(_fill(item, tensors, lists, count) for item in template)
        case dict():
            return {key: _fill(item, tensors, lists, count) for key, item in template.items()}
    return template


def _format(tensor: torch.Tensor) -> torch.memory_format:
    channels_last = tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if channels_last and not tensor.is_contiguous() else torch.contiguous_format
