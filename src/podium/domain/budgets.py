"""Budgets: what may be spent, by whom, within which window; pure arithmetic without a clock of its own."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal, TypeVar

from podium.domain.answers import CallAttempt, Usage
from podium.domain.errors import InvalidDefinition
from podium.domain.money import Money
from podium.domain.periods import period_seconds, require, shown_period
from podium.domain.runs import DEFAULT_TENANT

E = TypeVar("E", bound=StrEnum)

_HOUR: Final = 3600.0
_WEEK: Final = 604_800.0
# The epoch was a Thursday; weeks begin on Mondays.
_TO_MONDAY: Final = 3 * 86_400.0
_LONGEST_MONTH: Final = 31 * 86_400.0
_THOUSANDS = {"": 1, "k": 1_000, "m": 1_000_000, "b": 1_000_000_000}
_DOLLARS = re.compile(r"\$\s*(\d+(?:\.\d+)?)")
_COUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([kmb]?)\s*(token|request)s?")


class Scope(StrEnum):
    """Whose spending a budget bounds: that of each run, workflow, prompt, key or tenant for itself."""

    RUN = "run"
    WORKFLOW = "workflow"
    PROMPT = "prompt"
    KEY = "key"
    TENANT = "tenant"


class Unit(StrEnum):
    """What a budget counts."""

    MONEY = "money"
    """Nano-dollars."""

    TOKENS = "tokens"
    """Tokens of input and output."""

    REQUESTS = "requests"
    """Requests to models, whatever they take."""


class Breach(StrEnum):
    """What happens to a call that a budget has no room for."""

    FAIL = "fail"
    """It ends with `BudgetExceeded`."""

    CHEAPER = "cheaper"
    """The next candidate for which there is room is asked; `BudgetExceeded` when there is none."""


Unpriced = Literal["refuse", "allow"]
"""What budgets of money do about a model whose price nobody knows."""


class Period(StrEnum):
    """Periods that are no fixed number of seconds."""

    MONTH = "month"
    """A month of the calendar, in UTC."""

    FOREVER = "forever"
    """All of it: what is spent is never spent again. The only period that makes sense for a run."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What a call costs or may cost: money in nano-dollars, tokens of input and output, and requests."""

    nanos: int = 0
    tokens: int = 0
    requests: int = 0

    @classmethod
    def of(cls, cost: Money, usage: Usage) -> Charge:
        """Return the charge of a request that has been made."""
        return cls(cost.nanos, usage.input_tokens + usage.output_tokens, 1)

    def __add__(self, other: Charge) -> Charge:
        return Charge(self.nanos + other.nanos, self.tokens + other.tokens, self.requests + other.requests)


@dataclass(frozen=True, slots=True)
class Spender:
    """On whose behalf a call is made. What is None is bounded by no budget of that scope."""

    tenant: str = DEFAULT_TENANT
    workflow: str | None = None
    run: str | None = None
    prompt: str | None = None
    key: str | None = None

    def subject(self, scope: Scope) -> str | None:
        """Return the name that counts in `scope`."""
        name: str | None = getattr(self, scope.value)
        return name


@dataclass(frozen=True, slots=True, init=False)
class Budget:
    """What may be spent within a period: money, or a whole number of tokens or requests.

    `amount` is `Money`, a number of `unit`, or text: `"$5"`, `"200k tokens"`, `"60 requests"`, with the period behind a
    slash if that is not given as `per`. `per` is seconds, a `Period`, or text such as `"day"`, `"month"`, `"30s"`; by default
    an hour, and for a run all of it.

    Of model calls, it bounds what each member of `scope` spends in each window of the calendar, in UTC: hours, days,
    weeks from Monday, months. `of` names the one member that it is for, in place of a budget for all of them. `breach`
    says what happens to a call that does not fit. In a queue, which knows neither scope nor breach, the period slides.
    Raises `InvalidDefinition` for an amount or a period that is not above 0.
    """

    amount: Money | int
    unit: Unit
    period: float | Period
    scope: Scope
    of: str | None
    breach: Breach
    name: str = field(compare=False, repr=False)

    def __init__(
        self,
        amount: Money | int | str,
        per: float | str | None = None,
        scope: Scope = Scope.TENANT,
        *,
        of: str | None = None,
        breach: Breach = Breach.FAIL,
        unit: Unit = Unit.TOKENS,
    ) -> None:
        scope, breach = _member(Scope, scope), _member(Breach, breach)
        if isinstance(amount, str):
            text, slash, behind = amount.partition("/")
            require(not slash or per is None, f"{amount!r} and per={per!r} name two periods")
            (amount, unit), per = _amount(text, amount), behind if slash else per
        if isinstance(amount, Money):
            unit = Unit.MONEY
        if per is None:
            per = Period.FOREVER if scope is Scope.RUN else _HOUR
        period = _period(per)
        require(not isinstance(amount, bool), f"a budget cannot be {amount!r}")
        require(
            (amount.nanos if isinstance(amount, Money) else amount) > 0, "a budget must be more than nothing"
        )
        if not isinstance(period, Period):
            require(0 < period < math.inf, "a budget's period must be more than 0 seconds")
        values = {
            "amount": amount,
            "unit": unit,
            "period": period,
            "scope": scope,
            "of": of,
            "breach": breach,
            "name": f"{scope.value} {unit}/{_shown(period)}"
            + (f" {breach}" if breach is not Breach.FAIL else ""),
        }
        for each, value in values.items():
            object.__setattr__(self, each, value)

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Return the budget that `$5/h` or `200k tokens/h` says; raises `InvalidDefinition`."""
        if "/" not in text:
            raise _unreadable(text)
        return cls(text)

    def of_one(self, scope: Scope, subject: str) -> Budget:
        """Return the same budget for one member of `scope`."""
        return Budget(self.amount, self.period, scope, of=subject, breach=self.breach, unit=self.unit)

    @property
    def per(self) -> float:
        """The longest that the period can be, in seconds."""
        match self.period:
            case Period.MONTH:
                return _LONGEST_MONTH
            case Period.FOREVER:
                return math.inf
            case _:
                return self.period

    @property
    def limit(self) -> int:
        """The amount as a whole number of its unit: nano-dollars, tokens or requests."""
        return self.amount.nanos if isinstance(self.amount, Money) else self.amount

    def spent_by(self, call: CallAttempt) -> int:
        """Return what a model call took of this budget, in the unit of `limit`."""
        return self.share(Charge.of(call.cost, call.usage))

    def share(self, charge: Charge) -> int:
        """Return what a charge comes to in the unit of `limit`."""
        match self.unit:
            case Unit.MONEY:
                return charge.nanos
            case Unit.TOKENS:
                return charge.tokens
            case Unit.REQUESTS:
                return charge.requests

    def shown(self, amount: int) -> str:
        """Return an amount in the unit of `limit`, for people."""
        return str(Money(amount)) if self.unit is Unit.MONEY else f"{amount:,} {self.unit}"

    def window(self, at: float) -> int:
        """Return the number of the window that holds the time `at`, in seconds since the epoch."""
        match self.period:
            case Period.FOREVER:
                return 0
            case Period.MONTH:
                day = datetime.fromtimestamp(at, UTC)
                return day.year * 12 + day.month - 1
            case _:
                return math.floor((at + _offset(self.period)) / self.period)

    def window_end(self, window: int) -> float | None:
        """Return when a window ends, in seconds since the epoch; None when it never does."""
        match self.period:
            case Period.FOREVER:
                return None
            case Period.MONTH:
                year, month = divmod(window + 1, 12)
                return datetime(year, month + 1, 1, tzinfo=UTC).timestamp()
            case _:
                return (window + 1) * self.period - _offset(self.period)

    def __str__(self) -> str:
        amount = self.shown(self.limit)
        return amount if self.period is Period.FOREVER else f"{amount}/{_shown(self.period)}"


def unit_of(name: str) -> Unit:
    """Return what a budget of this `Budget.name` counts."""
    return Unit(name.split(" ")[1].partition("/")[0])


def _offset(period: float) -> float:
    return _TO_MONDAY if period == _WEEK else 0.0


def _period(per: float | str) -> float | Period:
    if not isinstance(per, str):
        return float(per)
    word = per.strip().lower()
    if word in ("month", "months", "mo"):
        return Period.MONTH
    if word in ("run", Period.FOREVER.value):
        return Period.FOREVER
    return period_seconds(word, per)


def _amount(text: str, whole: str) -> tuple[Money | int, Unit]:
    plain = text.strip().lower()
    if found := _DOLLARS.fullmatch(plain):
        return Money.usd(found[1]), Unit.MONEY
    if found := _COUNT.fullmatch(plain):
        return int(Decimal(found[1]) * _THOUSANDS[found[2]]), Unit(f"{found[3]}s")
    raise _unreadable(whole)


def _unreadable(text: str) -> InvalidDefinition:
    return InvalidDefinition(
        f"{text!r} is no budget; write e.g. '$5/h', '$0.50/min', '$20/month' or '200k tokens/h'."
    )


def _shown(period: float | Period) -> str:
    return period.value if isinstance(period, Period) else shown_period(period)


def _member(kind: type[E], value: object) -> E:
    """Return the member of `kind` that `value` is or spells; raises `InvalidDefinition`."""
    found = next((each for each in kind if each == value), None)
    if found is None:
        words = ", ".join(kind)
        raise InvalidDefinition(f"{kind.__name__.lower()}= must be one of {words}, not {ascii(value)[:80]}.")
    return found
