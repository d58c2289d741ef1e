"""The strategies of `tf.contrib.distribute`, whose arguments differ from those of `tf.distribute`."""

import tensorflow as tf
from tensorflow.python.distribute import mirrored_strategy

_distribute = tf.compat.v1.distribute


class MirroredStrategy(_distribute.MirroredStrategy):
    """One replica on each device of this machine, updated in step.

    Args:
        devices: their names; by default all GPUs, or the CPU if there is none.
        num_gpus, num_gpus_per_worker: instead of `devices`, use so many of the GPUs; 0 is the CPU.
        cross_device_ops, cross_tower_ops: how gradients are reduced; the second is the older name.
        auto_shard_dataset: only for several workers; must be False.
    """

    def __init__(
        self,
        devices=None,
        num_gpus=None,
        num_gpus_per_worker=None,
        cross_device_ops=None,
        auto_shard_dataset=False,
        cross_tower_ops=None,
    ):
        if sum(value is not None for value in (devices, num_gpus, num_gpus_per_worker)) > 1:
            raise ValueError("MirroredStrategy: pass only one of devices, num_gpus and num_gpus_per_worker.")
        if auto_shard_dataset:
            raise NotImplementedError("MirroredStrategy: auto_shard_dataset needs several workers; leave it out.")
        if devices is None:
            devices = mirrored_strategy.all_local_devices(num_gpus if num_gpus is not None else num_gpus_per_worker)
        super().__init__(devices, cross_device_ops=cross_device_ops or cross_tower_ops)


class ParameterServerStrategy(_distribute.experimental.ParameterServerStrategy):
    """Variables on parameter servers, by the cluster in TF_CONFIG; it finds the GPUs by itself."""

    def __init__(self, num_gpus_per_worker=0):
        del num_gpus_per_worker
        super().__init__()
