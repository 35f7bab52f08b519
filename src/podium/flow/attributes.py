"""`set_attributes`: a run says what it is to be found by."""

from __future__ import annotations

from podium.domain.attributes import AttributeValue, checked_attributes
from podium.domain.operations import Execute, Intent, OperationKind
from podium.domain.retries import RetryPolicy
from podium.domain.values import TypedCodec, fingerprint
from podium.ports.run import current_run

_NAME = "set_attributes"
_WHERE = "an attribute"


async def set_attributes(**attributes: AttributeValue | None) -> None:
    """Set attributes of the run, by which `podium runs list 'attr.NAME=VALUE'` finds it; None removes one.

    On disk when this returns. Raises `NotInRun` outside a run, and `InvalidInput` for names or values that
    cannot be stored or when the run would have more than 64.
    """
    run = current_run(
        "set_attributes()",
        "outside workflows use app.start(..., attributes={...}) or app.runs.set_attributes.",
    )
    checked = checked_attributes(attributes)
    request = Execute(None, checked, RetryPolicy())
    await run.perform(
        Intent(OperationKind.ATTRIBUTES, _NAME, fingerprint(checked, _WHERE), request, _NOTHING)
    )


_NOTHING = TypedCodec(None, "set_attributes()")
