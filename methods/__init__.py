"""What a representation is, how one is found, and the papers' own.

`METHODS` names the controls and the papers' own methods; `methods.registry` joins it with the baselines and with
what third parties register.
"""

METHODS: dict[str, str] = {
    "state": "methods.controls:State",
    "random-features": "methods.controls:RandomFeatures",
    "clar": "methods.clar.representation:CLAR",
    "clar-small": "methods.clar.representation:CLARSmall",
    "clamp": "methods.clamp.representation:CLAMP",
    "clamp-small": "methods.clamp.representation:CLAMPSmall",
    "proprio-only": "methods.controls:ProprioOnly",
}
