"""What EMR Serverless refuses, as sentences that say what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

AGAIN = frozenset({"ThrottlingException", "TooManyRequestsException", "InternalServerException", "ServiceUnavailableException"})
_GONE = frozenset({"ResourceNotFoundException", "NotFoundException"})
_DENIED = frozenset({"AccessDeniedException", "AccessDenied", "UnauthorizedException"})
_NOT_KNOWN = frozenset({"UnrecognizedClientException", "InvalidSignatureException", "ExpiredTokenException", "InvalidClientTokenId"})
_MESSAGE_CHARACTERS = 300


class EmrError(RuntimeError):
    """EMR Serverless refused a call, or did not answer. `again` says that the same call may succeed later."""

    def __init__(self, text: str, *, code: str = "", again: bool = False) -> None:
        self.code = code
        self.again = again
        super().__init__(text)


class NotThere(EmrError):
    """The application or the job run does not exist (any more)."""


class TokenUsed(EmrError):
    """The client token was used before, for another request."""


@contextmanager
def told(operation: str, what: str, private: Sequence[str] = ()) -> Iterator[None]:
    """Turns what botocore raises into sentences.

    Args:
        operation: as AWS and its permissions call it, e.g. `StartJobRun`.
        what: what was asked for, e.g. `application 00f1`.
        private: words of the request that no message may repeat (arguments of a job may name students).
    """
    from botocore import exceptions

    try:
        yield
    except exceptions.ClientError as error:
        raise _refusal(operation, what, error.response.get("Error", {}), private) from None
    except exceptions.ParamValidationError as error:
        raise EmrError(f"{operation}, {what}: {_without(str(error), private)}", code="ValidationException") from None
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.TokenRetrievalError):
        raise EmrError("no AWS credentials: sign in, or set AWS_PROFILE", code="NoCredentials") from None
    except exceptions.NoRegionError:
        raise EmrError("no AWS region: set AWS_REGION to the region of the EMR application", code="NoRegion") from None
    except exceptions.BotoCoreError as error:  # no connection, a timeout, an answer cut short
        raise EmrError(f"EMR Serverless does not answer {operation}, {what} ({type(error).__name__}); try again", again=True) from None


def _refusal(operation: str, what: str, error: dict[str, str], private: Sequence[str]) -> EmrError:
    code, message = error.get("Code", ""), _without(error.get("Message", ""), private)
    if code in _GONE:
        return NotThere(f"{what} is not there: check the id, AWS_REGION and the account ({operation})", code=code)
    if code in _DENIED:
        more = ", and iam:PassRole on the execution role" if operation == "StartJobRun" else ""
        return EmrError(f"not allowed: {what} needs the permission emr-serverless:{operation}{more}. {message}".rstrip(), code=code)
    if code in _NOT_KNOWN:
        return EmrError(f"AWS does not accept the credentials ({code}): sign in again", code=code)
    if code == "ConflictException":
        return TokenUsed(f"{what}: this client token was used before for another request; choose another job id or token", code=code)
    if code == "ServiceQuotaExceededException":
        return EmrError(f"{what}: a quota of the account is reached (Service Quotas, EMR Serverless). {message}".rstrip(), code=code)
    return EmrError(f"{operation}, {what}: {code}: {message}", code=code, again=code in AGAIN)


def _without(message: str, private: Sequence[str]) -> str:
    """The message without private words, and short."""
    for word in sorted(filter(None, set(private)), key=len, reverse=True):
        message = message.replace(word, "…")
    return message[:_MESSAGE_CHARACTERS]
