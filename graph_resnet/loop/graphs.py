"""Queries on a v1 graph: what an op depends on, which variables it assigns, which input streams it reads."""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable, Iterator

import tensorflow.compat.v1 as tf

from graph_resnet.data.streams import Stream, registered

# Ops that pass the variable (or iterator) of their first input through.
ALIASES = {"Identity", "RefIdentity", "Switch", "RefSwitch", "Enter", "RefEnter"}
# Types of the stateful ops that only hold or read variables and tables, or a loop's arrays.
VARIABLE = re.compile("^VarHandle|Variable|Table|^ResourceGather|^TensorArray|^Stack")


def ancestors(*fetches: tf.Tensor | tf.Operation) -> set[tf.Operation]:
    """All ops that have to run for `fetches`, including their own."""
    todo, seen = [fetch if isinstance(fetch, tf.Operation) else fetch.op for fetch in fetches], set()
    while todo:
        op = todo.pop()
        if op not in seen:
            seen.add(op)
            todo += [tensor.op for tensor in op.inputs]
            todo += op.control_inputs
    return seen


def streams(ops: set[tf.Operation]) -> list[Stream]:
    """The registered streams that `ops` of the default graph read."""
    return [stream for stream in registered(tf.get_default_graph()) if stream.labels.op in ops]


def inputs(ops: set[tf.Operation]) -> set[tf.Operation]:
    """The ops that give something else each time they run: iterators, queues, random ops, Python functions."""
    stateful = {op for op in ops if op.op_def is not None and op.op_def.is_stateful}
    return {op for op in stateful if not VARIABLE.search(op.type)}


def takes_a_batch(fetch: tf.Tensor, training: set[tf.Operation]) -> bool:
    """Whether fetching a tensor needs a feed, or moves an input of the `training` ops."""
    ops = ancestors(fetch)
    return any(op.type == "Placeholder" for op in ops) or bool(inputs(ops & training))


def batch(training: set[tf.Operation], measured: set[tf.Operation], flag: tf.Tensor) -> list[tf.Tensor]:
    """What the inputs that two groups of ops share give them, whatever `flag` is, without the registered streams."""
    both = training & measured
    shared = inputs(both) - {stream.labels.op for stream in streams(training)} - _dependents(both, flag.op)
    # What is inside a loop or a branch cannot be fetched.
    whole = [op for op in shared if op.graph.is_fetchable(op) and _fetched(op.outputs)]
    return [tensor for op in whole for tensor in op.outputs]


def _dependents(ops, source):
    """Those of `ops` that need the result of the op `source`."""
    users = collections.defaultdict(list)
    for op in ops:
        for needed in (*(tensor.op for tensor in op.inputs), *op.control_inputs):
            users[needed].append(op)
    todo, seen = [source], set()
    while todo:
        op = todo.pop()
        if op not in seen:
            seen.add(op)
            todo += users[op]
    return seen


def _fetched(tensors):
    """Whether a session returns all of these tensors."""
    return all(tensor.dtype not in (tf.resource, tf.variant) for tensor in tensors)


def source(tensor: tf.Tensor) -> tf.Operation:
    """The variable or iterator op that a handle comes from, skipping aliases."""
    op = tensor.op
    while op.type in ALIASES:
        op = op.inputs[0].op
    return op


def assignments(ops: Iterable[tf.Operation]) -> Iterator[tuple[tf.Operation, bool]]:
    """Each variable assignment in `ops`, also inside functions (`tf.cond` and loops are made of functions).

    Yields:
      (op of the variable, whether it is assigned every time the op runs).
    """
    functions = _Functions()
    for op in ops:
        if _assigns(op.type) and op.inputs:
            yield source(op.inputs[0]), op.inputs[0].op is source(op.inputs[0])
        elif functions.called_by(op.node_def):
            for i, tensor in enumerate(op.inputs):
                if tensor.dtype == tf.resource and functions.assigns_input(op.node_def, i):
                    yield source(tensor), False


def _assigns(op_type):
    return op_type.startswith(("Assign", "ScatterUpdate", "ResourceScatterUpdate"))


class _Functions:
    """The functions of the default graph. The library is read only when an op calls one."""

    def __init__(self):
        self._library = None

    @staticmethod
    def called_by(node):
        """Names of the functions that a NodeDef calls."""
        values = node.attr.values()
        names = [value.func.name for value in values if value.HasField("func")]
        return names + [function.name for value in values for function in value.list.func]

    def assigns_input(self, node, index):
        """Whether a function that a NodeDef calls assigns the variable in the node's input `index`."""
        index -= node.op in ("If", "StatelessIf", "Case", "StatelessCase")  # the first input selects the branch
        return any(self._assigns(name, index) for name in self.called_by(node) if index >= 0)

    def _assigns(self, name, index):
        if self._library is None:
            library = tf.get_default_graph().as_graph_def().library
            self._library = {function.signature.name: function for function in library.function}
        function = self._library.get(name)
        if function is None or index >= len(function.signature.input_arg):
            return False
        handles = {function.signature.input_arg[index].name}
        for node in function.node_def:
            for i, tensor in enumerate(node.input):
                if tensor.partition(":")[0] not in handles:
                    continue
                if (_assigns(node.op) and i == 0) or self.assigns_input(node, i):
                    return True
                if node.op in ALIASES and i == 0:
                    handles.add(node.name)
        return False
