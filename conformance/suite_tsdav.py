"""tsdav (npm): a scenario with the Node library that many web applications are written with."""

import tools


def run(server):
    node, home = tools.node()
    return tools.scenario([node, tools.HERE / "scenario_tsdav.mjs", home], server)
