"""What Orrery raises: each says what and where, and its hint what to do about it."""


class Error(RuntimeError):
    """A failure. `what` says what failed and where, `hint` the cure ("" if there is none)."""

    def __init__(self, what, hint=""):
        super().__init__(f"{what}\n  {hint}" if hint else what)
        self.what = what
        self.hint = hint

    def __reduce__(self):
        return type(self), (self.what, self.hint)


class UsageError(Error, ValueError):
    """A wrong request: a bad config, an unknown name, tokens of another shape."""


class Interrupted(KeyboardInterrupt):
    """An interrupt stopped the work in an orderly way; everything so far is kept. `run` is its directory, or None."""

    def __init__(self, text, run=None):
        super().__init__(text)
        self.run = run


class OrreryWarning(UserWarning):
    """A failure that does not end the work."""
