"""python-caldav (PyPI `caldav`): a scenario with the library that many scripts are written with."""

import tools


def run(server):
    return tools.scenario([tools.python(), tools.HERE / "scenario_python_caldav.py"], server)
