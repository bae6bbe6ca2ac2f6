"""Errors of the flow."""


class SettingsError(Exception):
    """The settings cannot be used; the message is one line, whatever a name in it holds: what, where, what to do."""

    def __init__(self, message: str):
        super().__init__(" ".join(message.splitlines()))
