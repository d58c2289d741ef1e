"""Names that moved inside TensorFlow but that TF-Slim and TensorFlow 1 programs still use at their old place."""

import importlib

# Old module, name, new module and, if it changed, new name; the modules are in tensorflow.python.
MOVED_NAMES = (
    ("framework.ops", "IndexedSlices", "framework.indexed_slices"),
    ("framework.ops", "convert_n_to_tensor_or_indexed_slices", "framework.indexed_slices"),
    ("framework.ops", "Tensor", "framework.tensor"),
    ("ops.array_ops", "stack", "ops.array_ops_stack"),
    ("ops.array_ops", "unstack", "ops.array_ops_stack"),
    ("ops.control_flow_ops", "Assert", "ops.control_flow_assert"),
    ("ops.control_flow_ops", "case", "ops.control_flow_case"),
    ("ops.control_flow_ops", "cond", "ops.cond"),
    ("ops.control_flow_ops", "while_loop", "ops.while_loop"),
    ("ops.variable_scope", "disable_resource_variables", "ops.resource_variables_toggle"),
    ("ops.variable_scope", "enable_resource_variables", "ops.resource_variables_toggle"),
    ("ops.variable_scope", "resource_variables_enabled", "ops.resource_variables_toggle"),
    ("ops.variable_scope", "variable", "ops.variable_v1", "VariableV1"),
    ("ops.variables", "VariableV1", "ops.variable_v1"),
)


def restore_moved_names(moved_names=MOVED_NAMES, package: str = "tensorflow.python"):
    """Adds the names to their old modules; existing names are not changed.

    Args:
        moved_names: rows like those of `MOVED_NAMES`.
        package: the package of the modules in the rows.
    """
    for old_module, name, new_module, *new_name in moved_names:
        old = importlib.import_module(f"{package}.{old_module}")
        if not hasattr(old, name):
            new = importlib.import_module(f"{package}.{new_module}")
            setattr(old, name, getattr(new, new_name[0] if new_name else name))
