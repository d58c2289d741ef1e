"""The error that a command shows as one line, without a traceback."""


class UserError(Exception):
    """Something that the user can mend: names the value or file at fault, and the mend, in one line."""

    def __init__(self, message):
        super().__init__(" ".join(str(message).split("\n")))  # a file name may hold a line break
