"""A prompt's own policy stands over the settings, except that an override of the models stands over both."""

from __future__ import annotations

from podium.gateway.policy import CallPolicy, PromptPolicy
from podium.settings.gateway import GatewaySettings


def test_what_a_prompt_does_not_say_the_settings_say():
    settings = GatewaySettings(
        models=("a:b",), timeout=7, retries=5, reasks=4, max_tokens=9, retry_base=2, retry_cap=3
    )
    policy = CallPolicy.merged(settings, PromptPolicy())
    assert (policy.models, policy.timeout, policy.reasks, policy.max_tokens) == (("a:b",), 7, 4, 9)
    assert (policy.backoff.retries, policy.backoff.base, policy.backoff.cap) == (5, 2, 3)
    assert policy.temperature is None
    assert policy.fallback_on_refusal is False


def test_what_a_prompt_says_counts_even_when_it_is_nothing():
    own = PromptPolicy(
        ("c:d",), timeout=1, retries=0, reasks=0, max_tokens=1, temperature=0.0, fallback_on_refusal=True
    )
    policy = CallPolicy.merged(GatewaySettings(models=("a:b",)), own)
    assert (policy.models, policy.timeout, policy.reasks, policy.max_tokens) == (("c:d",), 1, 0, 1)
    assert policy.backoff.retries == 0
    assert policy.temperature == 0.0
    assert policy.fallback_on_refusal is True


def test_an_override_replaces_every_prompts_candidates():
    settings = GatewaySettings(models=("a:b",), override=("x:y",))
    assert CallPolicy.merged(settings, PromptPolicy(("c:d",))).models == ("x:y",)


def test_a_request_gets_what_is_left_of_the_deadline_and_the_settings_inner_deadlines():
    policy = CallPolicy.merged(GatewaySettings(connect=1, first_token=2, stall=3), PromptPolicy(timeout=10))
    limits = policy.within(4.0)
    assert (limits.total, limits.connect, limits.first_token, limits.stall) == (4.0, 1, 2, 3)
