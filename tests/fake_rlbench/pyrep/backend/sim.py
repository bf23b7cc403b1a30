sim_intparam_program_version = 1


def simGetInt32Parameter(parameter):  # noqa: N802 (CoppeliaSim's name)
    assert parameter == sim_intparam_program_version
    return 40100
