"""Synchronous training on several machines: TensorFlow's servers and collective operations, addressed by TF_CONFIG
(see `graph_resnet.distributed.tf_config`).

Each worker has the whole net and a slice of every batch (synchronous data parallelism with between-graph replication);
once a step, all gradients go through one ring all-reduce. The n slices make up the batch that a single worker would
use, so a recipe's batch size, schedule and length do not depend on n. One worker is the chief: the task `chief`, or
worker 0. Only the chief reads and writes the train dir; the others get its weights at the start.

Everything that a step assigns depends on the all-reduce, so a step happens on all workers or on none.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from graph_resnet.distributed import tf_config
from graph_resnet.distributed.peers import Peers
from graph_resnet.distributed.sync_batch_norm import synchronized_batch_norm
from graph_resnet.errors import UserError, reason
from graph_resnet.loop.signals import StopRequest

GROUP = 1  # key of the one group of all workers


class Cluster:
    """This process as a worker of a cluster.

    Args:
      place: this process's place in the cluster.
      batch_size: images in the whole batch, over all workers.
      config: for this process's server and sessions; cluster options are added to it.

    Attributes:
      rows: slice of each batch that this worker reads.
      share: float, the fraction of the batch in that slice, 0..1.
      batch_norm: replaces `slim.batch_norm` if the statistics are to be those of the whole batch.
      target: str, this process's server, for `tf.Session`.
      alone: bool, whether the last step is done, so that the other workers may exit.

    Raises:
      UserError: there are more workers than images in a batch, or the port is taken.
    """

    def __init__(self, place: tf_config.Place, batch_size: int, config: tf.ConfigProto):
        self.place, self.config = place, config
        self.size, self.is_chief = len(place.members), place.is_chief
        self.rows = tf_config.rows(batch_size, self.size, place.rank)
        self.share = (self.rows.stop - self.rows.start) / batch_size
        self.batch_norm = functools.partial(synchronized_batch_norm, cluster=self)
        # Collective ops are matched by number, so all workers must build them in the same order.
        self._instances = itertools.count(1)
        task = f"/job:{place.job}/replica:0/task:{place.index}"
        self._device = f"{task}/device:CPU:0"
        chief, me = place.members[0], place.members[place.rank]
        config.experimental.collective_group_leader = f"/job:{chief.job}/replica:0/task:{chief.index}"
        config.device_filters.append(task)  # variables belong to each worker; a session need not wait for the others
        self._peers = Peers({member.name: member.address for member in place.members if member != me})
        hosts = {member.address.rpartition(":")[0] for member in place.members}
        os.environ["no_grpc_proxy"] = ",".join(sorted(hosts))  # noqa: SIM112 (gRPC reads it in lower case)
        try:
            spec = tf.train.ClusterSpec(place.jobs)
            self._server = tf.distribute.Server(spec, place.job, place.index, config=config)
        except tf.errors.OpError as error:
            raise UserError(
                f"TF_CONFIG: cannot listen at {me.address} ({reason(error)}); is another process there?"
            ) from None
        self.target = self._server.target
        self.alone = self._lost = False
        self._session: tf.Session | None = None

    def start(self, description: dict[str, Any], timeout: float) -> None:
        """Waits for the other workers and checks that they train the same thing.

        Args:
          description: everything that must be equal on all workers, as JSON values.
          timeout: seconds to wait.

        Raises:
          UserError: a worker did not start, was lost, or has another description; the same line on every worker.
        """
        me = self.place.members[self.place.rank]
        print(
            f"[cluster]: {me.name} of {self.size} workers, rows {self.rows.start} to {self.rows.stop - 1} of each batch"
        )
        self._peers.wait(timeout, print)
        self._peers.watch(self._on_loss)
        descriptions = [_flat(json.loads(text)) for text in self._gather(json.dumps(description))]
        for member, other in zip(self.place.members, descriptions):
            for key in sorted(descriptions[0].keys() | other.keys()):
                first, theirs = (values.get(key, "missing") for values in (descriptions[0], other))
                if first != theirs:
                    raise UserError(
                        f"{key} is {first} for {self.place.members[0].name} and {theirs} for {member.name}; "
                        "start all workers with the same command, program and data"
                    )

    def chief_says(self, text: str) -> str:
        """The chief's `text` on every worker. Call it on all of them, after `start`."""
        return self._gather(text)[0]

    @contextlib.contextmanager
    def blaming(self) -> Iterator[None]:
        """Turns an exception of a session into a `UserError` that names the lost worker, if there is one."""
        try:
            yield
        except tf.errors.ResourceExhaustedError:
            raise
        except (tf.errors.OpError, RuntimeError) as error:  # RuntimeError: the session is closed
            line = self._peers.lost()
            if line is None:
                raise
            raise UserError(line) from error

    def use(self, session: tf.Session) -> None:
        """Closes this session when a worker is lost, because its step would wait forever."""
        self._session = session
        if self._lost:
            session.close()

    def _on_loss(self) -> None:
        self._lost = True
        if self._session is not None:
            self._session.close()

    def finished(self) -> None:
        """Call it after the last step: then the others may exit, and a stop signal stops only this worker."""
        self._peers.release()
        self.alone = True

    def average(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The mean over the whole batch of tensors that are means over this worker's images.

        All go through one all-reduce. The result is differentiable: the gradient of a mean over workers is the mean
        over workers of the gradients.

        Args:
          tensors: float32, of known shapes.

        Returns:
          A list of tensors of these shapes, bit for bit the same on every worker.
        """
        # Both numbers are drawn here, because tf.gradients builds the ops of two branches in an order that differs
        # between processes.
        instance, instance_of_gradient = next(self._instances), next(self._instances)

        def mean(tensors, instance):
            return _unpacked(self._sum(_packed(tensors) * self.share, instance), tensors)

        @tf.custom_gradient
        def differentiable(*tensors):
            return mean(tensors, instance), lambda *gradients: mean(gradients, instance_of_gradient)

        return differentiable(*tensors)

    def in_step(
        self,
        gradients: Sequence[tuple[tf.Tensor, tf.Variable]],
        loss: tf.Tensor,
        accuracy: tf.Tensor,
        update_ops: Sequence[tf.Operation],
    ) -> tuple[list[tuple[tf.Tensor, tf.Variable]], tf.Tensor, tf.Tensor, list[tf.Operation]]:
        """Averages everything that an update needs over the workers, in one all-reduce.

        Args:
          gradients: pairs of a float32 gradient and its variable.
          loss, accuracy: float32 scalars.
          update_ops: ops that update batch norm's moving averages with this worker's images.

        Returns:
          (gradients, loss, accuracy, update_ops) of the whole batch. The moving averages are averaged too: they track
          the mean over workers of each slice's mean and variance.
        """
        trained = {variable.ref() for variable in tf.trainable_variables()}
        averages = [v for v in tf.model_variables() if v.ref() not in trained and "/moving_" in v.op.name]
        moving = averages if update_ops else []
        with tf.name_scope("all_reduce"):
            self._wish = tf.placeholder_with_default(0.0, [], name="wish_to_stop")
            with tf.control_dependencies(update_ops):
                averages = [tf.identity(variable) for variable in moving]
            values = [gradient for gradient, _ in gradients]
            means = self.average([*values, *averages, loss, accuracy, self._wish])
            *means, loss, accuracy, self._wishes = means
            updates = [tf.assign(variable, mean) for variable, mean in zip(moving, means[len(values) :])]
        return list(zip(means, (v for _, v in gradients))), loss, accuracy, updates

    def stop_together(self, stop: StopRequest) -> _StopTogether:
        """A hook that stops all workers at the same step when one of them gets a stop signal; see its `signum`."""
        return _StopTogether(self, stop, self._wish, self._wishes)

    def broadcast(self) -> tf.Operation:
        """An op that copies the chief's global variables to all workers: a sum in which the others' terms are zero."""
        assignments = []
        with tf.name_scope("broadcast"):
            for dtype in sorted({v.dtype.base_dtype for v in tf.global_variables()}, key=str):
                variables = [v for v in tf.global_variables() if v.dtype.base_dtype == dtype]
                packed = _packed(variables)
                total = self._sum(packed if self.is_chief else tf.zeros_like(packed), next(self._instances))
                assignments += [tf.assign(v, value) for v, value in zip(variables, _unpacked(total, variables))]
        return tf.group(assignments)

    def _sum(self, tensor: tf.Tensor, instance: int, merge: str = "Add") -> tf.Tensor:
        """The sum over the workers, or the maximum with merge "Max"."""
        with tf.device(self._device):
            return tf.raw_ops.CollectiveReduce(
                input=tensor,
                group_size=self.size,
                group_key=GROUP,
                instance_key=instance,
                merge_op=merge,
                final_op="Id",
                subdiv_offsets=[0],
            )

    def _gather(self, text: str) -> list[str]:
        """The texts of all workers, in the order of `Place.members`."""
        codes = np.frombuffer(text.encode("utf-32-le"), np.int32)
        longest = int(self._run(lambda: self._sum(tf.constant([len(codes)]), next(self._instances), "Max"))[0])

        def gather():
            with tf.device(self._device):
                return tf.raw_ops.CollectiveGather(
                    input=tf.constant(np.pad(codes, (0, longest - len(codes)))),
                    group_size=self.size,
                    group_key=GROUP,
                    instance_key=next(self._instances),
                    shape=[longest * self.size],
                )

        texts = self._run(gather).reshape(self.size, longest)
        return [row[row > 0].tobytes().decode("utf-32-le") for row in texts]

    def _run(self, build: Callable[[], tf.Tensor]) -> np.ndarray:
        """Builds a tensor in a new graph and runs it."""
        with tf.Graph().as_default(), self.blaming():
            fetch = build()
            with tf.Session(self.target, config=self.config) as session:
                self.use(session)
                return session.run(fetch)


class _StopTogether(tf.train.SessionRunHook):
    def __init__(self, cluster: Cluster, stop: StopRequest, wish: tf.Tensor, wishes: tf.Tensor):
        self._cluster, self._stop, self._wish, self._wishes = cluster, stop, wish, wishes
        self._agreed = False

    @property
    def signum(self) -> int | None:
        """The signal that stops this worker now, or None."""
        if self._agreed:
            return self._stop.signum or signal.SIGTERM
        return self._stop.signum if self._cluster.alone else None

    def before_run(self, run_context):
        wish = 0.0 if self._stop.signum is None else 1.0
        return tf.train.SessionRunArgs(self._wishes, {self._wish: wish})

    def after_run(self, run_context, run_values):
        self._agreed = self._agreed or run_values.results > 0


def _packed(tensors: Sequence[tf.Tensor | tf.Variable]) -> tf.Tensor:
    """Concatenates tensors of one dtype into a vector."""
    vectors = [tf.reshape(_bits(tf.convert_to_tensor(tensor)), [-1]) for tensor in tensors]
    return tf.bitcast(tf.concat(vectors, 0), tensors[0].dtype.base_dtype)


def _unpacked(packed: tf.Tensor, tensors: Sequence[tf.Tensor | tf.Variable]) -> list[tf.Tensor]:
    """The parts of `_packed(tensors)`, in the shapes of `tensors`."""
    parts = tf.split(_bits(packed), [tensor.shape.num_elements() for tensor in tensors])
    return [tf.bitcast(tf.reshape(part, tensor.shape), packed.dtype) for part, tensor in zip(parts, tensors)]


def _bits(tensor: tf.Tensor) -> tf.Tensor:
    """float32 as int32, because TensorFlow's bfloat16 rewrite would round everything packed with a gradient."""
    return tf.bitcast(tensor, tf.int32) if tensor.dtype == tf.float32 else tensor


def _flat(value: Any, key: str = "") -> dict[str, Any]:
    """Nested dicts and lists as {'recipe.learning_rate': 0.01, ...}."""
    if isinstance(value, (dict, list)) and value:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for name, item in items for k, v in _flat(item, f"{key}.{name}" if key else str(name)).items()}
    return {key: value}
