"""`--tenant`: commands act on behalf of one tenant, and show nobody else's."""

from __future__ import annotations

from tests.cli.support import Shell


def listed(shell: Shell, *options: str) -> list[tuple[str, str]]:
    return [(run["id"], run["tenant"]) for run in shell.podium("runs", "list", *options, "--json").json]


def test_a_run_is_found_and_decided_by_its_tenant_alone(flows: Shell):
    ended = flows.podium("run", "flows.py:approve", "--input", '"Ada"', "--id", "a", "--tenant", "acme")
    assert ended.code == 0, ended.err
    assert "reviews list --tenant acme" in ended.out
    assert listed(flows, "--tenant", "acme") == [("a", "acme")]
    assert listed(flows) == []
    assert flows.podium("runs", "show", "a").code != 0
    assert flows.podium("runs", "cancel", "a", "--tenant", "globex").code != 0
    assert flows.podium("reviews", "list", "--json").json == []
    (review,) = flows.podium("reviews", "list", "--tenant", "acme", "--json").json
    decide = ["reviews", "decide", review["id"], "approve", "--json"]
    assert flows.podium(*decide).code != 0
    decided = flows.podium(*decide, "--tenant", "acme")
    assert decided.code == 0, decided.err
    assert decided.json["run"]["state"] == "completed"


def test_an_id_of_another_tenant_is_refused(flows: Shell):
    command = ["run", "flows.py:approve", "--input", '"Ada"', "--id", "a"]
    assert flows.podium(*command, "--tenant", "acme").code == 0
    assert "run id 'a' is not available. Choose another" in flows.podium(*command).error
    assert "cannot name a tenant" in flows.podium(*command, "--tenant", " ").error


def test_a_job_belongs_to_the_tenant_of_the_environment(flows: Shell):
    flows.variables["PODIUM_TENANT"] = "acme"
    lines = flows.write("who.jsonl", '"Ada"\n', '"Grace"\n')
    ended = flows.podium("run", "flows.py:approve", "--each", lines, "--json")
    assert ended.code == 0, ended.err
    assert ended.json["totals"]["states"] == {"waiting": 2}
    assert len(listed(flows)) == 2
    assert listed(flows, "--tenant", "default") == []


def test_keys_are_a_tenants(flows: Shell):
    made = flows.podium("keys", "create", "site", "--tenant", "acme", "--json").json
    assert (made["name"], made["tenant"]) == ("site", "acme")
    assert flows.podium("keys", "list", "--json").json == []
    assert flows.podium("keys", "revoke", "site").code != 0
    assert flows.podium("keys", "revoke", "site", "--tenant", "acme", "--json").json["revoked_at"]
