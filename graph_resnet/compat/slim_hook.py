"""Makes a later `import tf_slim` work, without importing TensorFlow or TF-Slim now."""

import importlib

from .import_hooks import when_imported


def _prepare():
    """Adds the names to TensorFlow that TF-Slim needs while it is imported."""
    from . import moved_names
    from .v1_names import add_layers

    moved_names.restore_moved_names()
    add_layers()


def _patch(tf_slim):
    importlib.import_module(".slim", __package__).replace_batch_norm()


_installed = False


def install():
    """Applies the repairs of `slim.py` after the next `import tf_slim`, or now if it is imported already."""
    global _installed
    if not _installed:
        _installed = True
        when_imported("tf_slim", _patch, before=_prepare)
