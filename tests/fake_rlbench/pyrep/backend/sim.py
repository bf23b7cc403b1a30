"""As in PyRep, `simGetInt32Parameter` itself is of no use: CoppeliaSim's takes where to write the number."""

from types import SimpleNamespace

import faults

sim_intparam_program_version = 1


def _get(parameter, found):
    assert parameter == sim_intparam_program_version
    found[0] = int(faults.wanted("version") or 40100)
    return 1


ffi = SimpleNamespace(new=lambda kind: {"int *": [0]}[kind])
lib = SimpleNamespace(simGetInt32Parameter=_get)


def simGetInt32Parameter(parameter):  # noqa: N802 (CoppeliaSim's name)
    return lib.simGetInt32Parameter(parameter)
