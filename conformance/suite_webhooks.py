"""Webhooks as their receivers see them: signatures checked with the public `standardwebhooks` package, and the example receiver."""

import tools


def run(server):
    return tools.scenario([tools.python(), tools.HERE / "scenario_webhooks.py"], server)
