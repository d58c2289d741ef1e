"""What the session loop must know about an input: one `Stream` per stream of batches, in a graph collection.

Register your own input in the same way:

    streams.register(streams.Stream(labels, restart=iterator.initializer, batch_size=64, images=10000))

The loop uses those streams that its tensors depend on, so a graph may have any number of inputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow.compat.v1 as tf

COLLECTION = "batch_streams"


@dataclass(frozen=True)
class Stream:
    """A stream of batches in a v1 graph."""

    labels: tf.Tensor  # int [B], of the current batch: a tensor that depends on its op reads the stream
    restart: tf.Operation  # restarts the stream: a shuffled one at `start`, an ordered one at its beginning
    batch_size: int  # images in a batch; the last one of an ordered pass may be smaller
    images: int  # in an epoch or a pass
    in_order: bool = True  # ordered passes, each image once a pass, as an evaluation needs
    start: tf.Tensor | None = None  # int64 scalar, the global step; fed if that is not the number of batches so far

    @property
    def name(self) -> str:
        """The name of the stream in an exported MetaGraphDef."""
        return self.labels.op.name


def register(stream: Stream) -> None:
    """Adds a stream to its graph."""
    stream.labels.graph.add_to_collection(COLLECTION, stream)


def registered(graph: tf.Graph) -> list[Stream]:
    """All streams of a graph. (An imported MetaGraphDef has only their names, which are skipped.)"""
    return [stream for stream in graph.get_collection(COLLECTION) if isinstance(stream, Stream)]
