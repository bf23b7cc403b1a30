"""What each task of the simulator `aloha` is told to a policy."""

from __future__ import annotations

CLAMP = {
    "drawer-open": "open the bottom drawer of the jewelry box",
    "mug-on-plate": "put the red mug on the plate",
    "pen-in-container": "put the pen in the white cup",
    "screwdriver-in-caddy": "place the screwdriver in the right compartment of the caddy",
    "can-opener-in-caddy": "place the can opener in the left compartment of the caddy",
    "plate-on-rack": "put the plate on the rack",
}
"""CLAMP's six, as aloha_sim words them; plate-on-rack, which it has not, as it words the bowl's."""
FURTHER = {
    "screwdriver-in-left-compartment": "place the screwdriver in the left compartment of the caddy",
    "can-opener-in-right-compartment": "place the can opener in the right compartment of the caddy",
    "banana-in-bowl": "put the banana in the bowl",
    "pen-on-plate": "put the pen on the plate",
    "bowl-on-rack": "put the bowl on the rack",
    "middle-drawer-open": "open the middle drawer of the jewelry box",
    "top-drawer-open": "open the top drawer of the jewelry box",
    "bottom-drawer-close": "close the bottom drawer of the jewelry box",
}
"""Tasks to pretrain on (the suite aloha-pretrain), in the same words; those of aloha_sim as it words them."""
INSTRUCTIONS = {**CLAMP, **FURTHER}
