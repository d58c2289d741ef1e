"""`tf.contrib.training.HParams`: named values of fixed types that a command line can override."""

import json
import numbers
import re

_ITEM = re.compile(
    r"(?P<name>[a-zA-Z][\w.]*)(\[\s*(?P<index>\d+)\s*\])?\s*=\s*((?P<value>[^,\[]*)|\[(?P<list>[^\]]*)\])($|,\s*)"
)


def _convert(name, text, kind):
    """Converts the text of one value to the type `kind`."""
    try:
        if kind is bool:
            if text.lower() in ("true", "1"):
                return True
            if text.lower() in ("false", "0"):
                return False
            raise ValueError
        return kind(text)
    except ValueError:
        raise ValueError(f"Could not parse hparam {name!r} of type {kind.__name__!r} with value {text!r}") from None


def parse_values(values: str, type_map: dict, ignore_unknown: bool = False) -> dict:
    """Parses values from a text such as "learning_rate=0.1,layers=[3,4],sizes[1]=5".

    Args:
        values: the text.
        type_map: the type of each name.
        ignore_unknown: skip names that `type_map` lacks, instead of raising.

    Returns:
        name -> value, or name -> {index: value} if an index was given.

    Raises:
        ValueError: an unknown name, a name given twice, or a value of another type.
    """
    results: dict = {}
    position = 0
    while position < len(values):
        match = _ITEM.match(values, position)
        if not match:
            raise ValueError(f"Malformed hyperparameter value: {values[position:]}")
        position = match.end()
        name, index, value, items = match["name"], match["index"], match["value"], match["list"]
        if name not in type_map:
            if ignore_unknown:
                continue
            raise ValueError(f"Unknown hyperparameter type for {name}")
        kind = type_map[name]
        if index is not None:
            if items is not None:
                raise ValueError(f"Assignment of a list to a list index: {match[0]}")
            entry = results.setdefault(name, {})
            if not isinstance(entry, dict) or int(index) in entry:
                raise ValueError(f"Multiple assignments to variable {name!r} in {values!r}")
            entry[int(index)] = _convert(name, value.strip(), kind)
        elif name in results:
            raise ValueError(f"Multiple assignments to variable {name!r} in {values!r}")
        elif items is not None:
            results[name] = [_convert(name, item.strip(), kind) for item in items.split(",") if item.strip()]
        else:
            results[name] = _convert(name, value.strip(), kind)
    return results


def _cast(name, kind, value):
    """`value` as the type of the hyperparameter, if that loses nothing."""
    if value is None or kind is type(None):
        return value
    fits = {
        bool: isinstance(value, bool),
        str: isinstance(value, str),
        int: isinstance(value, numbers.Integral) and not isinstance(value, bool),
        float: isinstance(value, numbers.Number) and not isinstance(value, bool),
    }
    if not fits.get(kind, isinstance(value, kind)):
        raise ValueError(f"Could not cast hparam {name!r} of type {kind.__name__!r} from value {value!r}")
    return kind(value) if kind in fits else value


class HParams:
    """Hyperparameters as attributes; each keeps its first type."""

    _HAS_DYNAMIC_ATTRIBUTES = True

    def __init__(self, hparam_def=None, model_structure=None, **kwargs):
        self._hparam_types = {}
        self._model_structure = model_structure
        for name, value in kwargs.items():
            self.add_hparam(name, value)

    def add_hparam(self, name, value):
        """Adds a hyperparameter; a list gives the type of its elements."""
        if getattr(self, name, None) is not None:
            raise ValueError(f"Hyperparameter name is reserved: {name}")
        if isinstance(value, (list, tuple)):
            if not value:
                raise ValueError(f"Multi-valued hyperparameters cannot be empty: {name}")
            self._hparam_types[name] = (type(value[0]), True)
        else:
            self._hparam_types[name] = (type(value), False)
        setattr(self, name, value)

    def set_hparam(self, name, value):
        """Sets an existing hyperparameter to another value of its type."""
        kind, is_list = self._hparam_types[name]
        if isinstance(value, list) != is_list and not (is_list and isinstance(value, tuple)):
            kinds = "must" if is_list else "must not"
            raise ValueError(f"{kinds} pass a list for multi-valued parameter: {name}.")
        setattr(self, name, [_cast(name, kind, v) for v in value] if is_list else _cast(name, kind, value))

    def del_hparam(self, name):
        """Removes a hyperparameter, if it exists."""
        if hasattr(self, name):
            delattr(self, name)
            del self._hparam_types[name]

    def parse(self, values):
        """Sets values from a text such as "learning_rate=0.1,layers=[3,4]"; returns self."""
        types = {name: kind for name, (kind, _) in self._hparam_types.items()}
        return self.override_from_dict(parse_values(values, types))

    def override_from_dict(self, values_dict):
        """Sets the given values; returns self."""
        for name, value in values_dict.items():
            if name not in self._hparam_types:
                raise KeyError(f"Hyperparameter {name!r} does not exist. Please ensure it was added using add_hparam.")
            if isinstance(value, dict):
                current = list(getattr(self, name))
                for index, item in value.items():
                    current[index] = item
                value = current
            self.set_hparam(name, value)
        return self

    set_from_map = override_from_dict  # its older name

    def set_model_structure(self, model_structure):
        self._model_structure = model_structure

    def get_model_structure(self):
        return self._model_structure

    def to_json(self, indent=None, separators=None, sort_keys=False):
        """The values as JSON; functions are skipped."""
        values = {name: value for name, value in self.values().items() if not callable(value)}
        return json.dumps(values, indent=indent, separators=separators, sort_keys=sort_keys)

    def parse_json(self, values_json):
        """Sets the values in a JSON object; returns self."""
        return self.override_from_dict(json.loads(values_json))

    def values(self):
        """The values by name."""
        return {name: getattr(self, name) for name in self._hparam_types}

    def get(self, key, default=None):
        """The value of `key`, or `default`, which must have its type."""
        if key not in self._hparam_types:
            return default
        kind, is_list = self._hparam_types[key]
        if default is not None and isinstance(default, list) != is_list:
            raise ValueError(f"Hparam {key!r} of type {kind.__name__} is incompatible with default={default}")
        return getattr(self, key)

    def __contains__(self, key):
        return key in self._hparam_types

    def __str__(self):
        return str(sorted(self.values().items()))

    def __repr__(self):
        return f"{type(self).__name__}({self})"
