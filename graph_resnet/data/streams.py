"""What the session loop has to know of an input: one `Stream` for each stream of batches, in one graph collection.

An input built by hand takes part in the same way:

    streams.register(streams.Stream(labels, restart=iterator.initializer, batch_size=64, images=10000))

The loop takes those streams that its tensors depend on. So a graph may have any number of inputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow.compat.v1 as tf

COLLECTION = "batch_streams"


@dataclass(frozen=True)
class Stream:
    """A stream of batches in a v1 graph."""

    labels: tf.Tensor  # int [B], of the batch at hand: what depends on its op reads the stream
    restart: tf.Operation  # starts the stream again: a shuffled one at `start`, one in order at its beginning
    batch_size: int  # images in a batch; the last one of a pass in order may be smaller
    images: int  # in an epoch or a pass
    in_order: bool = True  # one pass after the other, each image once a pass: what an evaluation is made of
    start: tf.Tensor | None = None  # int64 scalar, the global step; fed where that is not the number of batches so far

    @property
    def name(self) -> str:
        """By which an exported MetaGraphDef lists the stream."""
        return self.labels.op.name


def register(stream: Stream) -> None:
    """Adds a stream to its graph."""
    stream.labels.graph.add_to_collection(COLLECTION, stream)


def registered(graph: tf.Graph) -> list[Stream]:
    """All streams of a graph. (An imported MetaGraphDef has only their names left: those are none.)"""
    return [stream for stream in graph.get_collection(COLLECTION) if isinstance(stream, Stream)]
