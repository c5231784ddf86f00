"""Our errors: what goes wrong on our side of a request. `reason` is private, for log and audit.

Public text stands in one table per dialect in `gateway/`; a test demands a row for every subclass.
Foreign exceptions (sockets, llama.cpp codes) are mapped to these once, where they enter.
"""


class EngineError(Exception):
    """The engine could not do the work. `status` is the HTTP status before the first byte."""

    status = 500

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ModelNotReady(EngineError):
    """The model is known but cannot serve now: starting, restarting or unloadable."""

    status = 503


class WorkerDied(EngineError):
    """The process or upstream that ran the request is gone."""

    status = 502


class UpstreamFailed(EngineError):
    """An HTTP upstream answered with an error or with something that is not its protocol."""

    status = 502


class DeadlineExceeded(EngineError):
    """The work took longer than its time limit."""

    status = 504


class ReaderTooSlow(EngineError):
    """The caller reads slower than the model writes, beyond what is kept for it."""

    status = 504


class PrepareFailed(EngineError):
    """The template, the tokeniser or the grammar refused the input; `text` is public and ours."""

    status = 400

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(reason)
        self.text = text


class ContextTooLong(EngineError):
    """The prompt alone does not fit: `prompt_tokens` against `limit_tokens`."""

    status = 400

    def __init__(self, reason: str, *, prompt_tokens: int, limit_tokens: int) -> None:
        super().__init__(reason)
        self.prompt_tokens = prompt_tokens
        self.limit_tokens = limit_tokens


class SlotTaken(EngineError):
    """All slots of the target are busy: not an answer to a caller, the request returns to the queue."""

    status = 503
