"""What can go wrong between the kubelet and the processes it asks for.

RuntimeServiceError
├── NotFoundError          no such sandbox or container
├── WrongStateError        the verb does not apply to the state the sandbox or container is in
├── SandboxError           a sandbox could not be made (.failure when a kernel call failed)
├── StartError             a container or exec'd process could not be started (.failure says where and why)
├── ShimGoneError          the shim ended or went silent while it was asked something
└── ProtocolError          a message that the channel does not know or that does not fit

The kernel's own errors arrive as StartFailure values, for they happened in another process.
"""

from __future__ import annotations

from minipod.runtime.types import StartFailure


class RuntimeServiceError(Exception):
    """Base of the family."""


class NotFoundError(RuntimeServiceError):
    pass


class WrongStateError(RuntimeServiceError):
    pass


class SandboxError(RuntimeServiceError):
    def __init__(self, message: str, failure: StartFailure | None = None) -> None:
        super().__init__(message)
        self.failure = failure


class StartError(RuntimeServiceError):
    """`failure.message` is a sentence for a user that names the operand."""

    def __init__(self, failure: StartFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class ShimGoneError(RuntimeServiceError):
    pass


class ProtocolError(RuntimeServiceError):
    pass
